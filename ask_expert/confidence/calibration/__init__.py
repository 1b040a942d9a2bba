"""Turn signals into probabilities that can be believed, or say that it cannot be done."""

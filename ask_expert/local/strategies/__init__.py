"""Ways to get more out of a local model before anybody pays for an expert."""

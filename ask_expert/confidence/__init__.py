"""Measured signals about the local answer, and the confidence made from them."""

"""Lets a local agent ask a stronger model when it is stuck, within a budget."""

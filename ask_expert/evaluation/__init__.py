"""Tasks, agents and systems: what a local model solves alone and with an expert."""

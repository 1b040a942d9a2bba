"""The local model: its weights, its server, a client for it."""

"""The policy: which stuck questions are worth an expert, and why."""

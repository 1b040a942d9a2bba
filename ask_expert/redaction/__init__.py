"""
Secrets out of everything that leaves: texts, request bodies, log lines.

A secret becomes a typed, numbered mark such as `«SECRET:github_pat:1»`, so that
an expert can still reason about it. This is a guardrail, not a guarantee: a plain
password in prose and a bare 32-digit hexadecimal key look like ordinary text and
stay, unless they are the value of a configured key or of a secret-named
environment variable.
"""

from ask_expert.redaction.known import secret_environment
from ask_expert.redaction.marks import Marks
from ask_expert.redaction.masker import Masker

__all__ = ["Marks", "Masker", "secret_environment"]

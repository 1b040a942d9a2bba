"""The ledger: what was asked, decided, set aside, paid and gained."""

"""Tables and figures from the ledger, for people and for programs."""

"""One file per signal."""

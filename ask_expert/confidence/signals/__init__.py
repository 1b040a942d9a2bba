"""One file for each signal: a number that speaks for or against the local answer."""

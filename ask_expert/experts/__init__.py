"""One adapter a wire format, prices, and the one HTTP client that reaches experts."""

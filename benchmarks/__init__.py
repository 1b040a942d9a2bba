"""Scripts that measure side by side and print ratios; results stand in RESULTS.md."""

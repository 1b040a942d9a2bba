"""What asking an expert bought: estimates with intervals, from known outcomes; pure."""

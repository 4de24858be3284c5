"""Where blocks end up: one sink a file."""

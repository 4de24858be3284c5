"""Models: one a file."""

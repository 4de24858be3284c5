"""Training of the library's models."""

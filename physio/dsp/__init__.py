"""Stages on samples: one family of signal processing a file."""

"""Leakage audit and confound checks."""

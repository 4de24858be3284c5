"""Correction of a recording by eye, in a page of the browser."""

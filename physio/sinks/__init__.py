"""Sinks: one output format a file."""

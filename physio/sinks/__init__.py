"""Sinks: one module for each output format."""

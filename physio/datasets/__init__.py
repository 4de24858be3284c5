"""Readers of published data sets, one per module."""

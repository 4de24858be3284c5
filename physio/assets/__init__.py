"""Weights with their cards, and default settings."""

"""Baselines and models for comparison."""

"""Beats, heart rate and heart rate variability."""

"""Odds of a task against rest from EEG: weights trained on eegmat."""

"""EEG features."""

"""Mental arithmetic against rest from EEG (eegmat)."""

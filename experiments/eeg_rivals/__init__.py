"""Rivals of band power in EEG: covariances, aperiodic slope, muscles."""

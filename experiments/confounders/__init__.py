"""Removal of a known confounder, motion or the clock, from an estimate of arousal."""

"""Learnable lifting: sub-bands of EEG whose filters are learned."""

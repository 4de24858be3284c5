"""RMSSD of a pulse wave, and of intervals with gaps, against an ECG."""

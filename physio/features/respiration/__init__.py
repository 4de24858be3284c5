"""Respiration from a belt or from the ECG."""

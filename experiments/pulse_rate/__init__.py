"""Pulse rate of a moving wrist: training of the tracker, and its errors."""

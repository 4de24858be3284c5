"""Evaluation on held-out participants: splits, leakage audit, metrics."""

"""Attention over sensors that are present, after M2FNet, judged."""

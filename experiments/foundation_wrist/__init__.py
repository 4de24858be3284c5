"""Frozen encoders of wrist signals, against handcrafted features."""

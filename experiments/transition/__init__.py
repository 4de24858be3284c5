"""Decay and set point of affect as random effects of a person."""

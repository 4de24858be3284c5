"""Diagonal state-space memory of each sensor, fused by predictive entropy."""

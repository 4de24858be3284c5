"""Estimates for participants unlike those of the training."""

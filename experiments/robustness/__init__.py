"""Estimates on signals that are disturbed, absent or of somebody else."""

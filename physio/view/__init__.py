"""Plots, reports, terminal and dashboard."""

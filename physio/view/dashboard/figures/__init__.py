"""Figures of the dashboard (Bokeh)."""

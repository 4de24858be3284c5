"""Stress, forecasts and personalization on WESAD."""

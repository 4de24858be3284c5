"""Reasons of estimates, checked by deletion, insertion and simulated causes."""

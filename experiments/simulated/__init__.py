"""Experiments on simulated participants."""

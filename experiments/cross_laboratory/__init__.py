"""Stress in laboratories that did not train the model."""

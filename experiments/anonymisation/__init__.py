"""Anonymised signals: what still identifies a person, and what is lost."""

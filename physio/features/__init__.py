"""Stages with named outputs, one modality a folder."""

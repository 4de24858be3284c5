"""Feature extraction: stages with named outputs, one folder for each modality."""

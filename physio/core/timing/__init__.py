"""Sample numbering and clock models."""

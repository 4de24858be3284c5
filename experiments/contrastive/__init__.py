"""Contrastive pre-training of one encoder per wrist sensor, without labels."""

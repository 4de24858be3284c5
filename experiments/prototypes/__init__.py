"""A map of embeddings on the plane of valence and arousal, after Li et al. 2025."""

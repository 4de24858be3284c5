"""Ideas of the literature on multimodal affect, judged by one rule."""

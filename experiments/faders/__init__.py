"""Latent faders of arousal and activity with few labels, after Music FaderNets."""

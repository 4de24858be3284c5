"""Error bars of models on simulated and real participants, DASPS among them."""

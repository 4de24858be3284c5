"""How fast the stages are, each beside a peer in the same run."""

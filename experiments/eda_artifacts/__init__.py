"""Contact artifacts in skin conductance: detection beside published rules."""

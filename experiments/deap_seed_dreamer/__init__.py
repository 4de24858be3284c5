"""RBTransformer on DEAP, SEED and DREAMER under published and leakage-free protocols."""

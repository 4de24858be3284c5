"""RBTransformer on DEAP, SEED and DREAMER, as published and without leakage."""

"""RBTransformer by protocol on two laboratories, beside controls."""

"""Signal processing stages on samples: one family of methods in each file."""

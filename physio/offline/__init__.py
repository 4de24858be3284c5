"""Features and estimates of recordings and data sets."""

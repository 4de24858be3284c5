"""Heart rate of an ECG in noise, and the limit from which it is given."""

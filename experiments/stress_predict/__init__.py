"""Transfer from WESAD to Stress-Predict."""

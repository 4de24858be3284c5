"""What people see: the terminal, plots, conversions."""

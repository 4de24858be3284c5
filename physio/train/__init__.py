"""Training, splits and figures of merit."""

"""Studies: design, participants, guided sessions, outcomes and results."""

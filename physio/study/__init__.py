"""What a laboratory does around the signals: design, participants, sessions, the table."""

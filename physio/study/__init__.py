"""What a laboratory does around the signals: design, people, sessions, the table."""

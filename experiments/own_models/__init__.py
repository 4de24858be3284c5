"""Models that users train: from few people, and of one person."""

"""Live sessions: engine, session loop, configuration."""

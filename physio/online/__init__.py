"""From streams to estimates while they flow."""

"""The agent as a real process on a real broker."""

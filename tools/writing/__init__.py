"""Messages and what is to be written about them. Knows nothing of models."""

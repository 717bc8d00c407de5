"""From messages to trained weights. Knows nothing of how models are exported or packed."""

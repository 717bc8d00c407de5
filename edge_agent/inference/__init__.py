"""Texts in, predictions out. Knows nothing of MQTT."""

"""MQTT in and out. Knows nothing of models."""

"""Bytes to messages, results to bytes: the only JSON on the wire. Knows nothing of MQTT clients."""

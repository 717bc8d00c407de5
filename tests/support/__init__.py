"""Real parts for tests: a broker, the agent's process, an MQTT client, a small bundle."""

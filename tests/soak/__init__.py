"""Long runs against a real Mosquitto: `make soak`, which renews docs/reliability.md."""

"""edge-agent: sensor logs and operator messages in, structured events out, on the gateway."""

__version__ = "0.1.0"

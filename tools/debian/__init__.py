"""Debian packages: edge-agent with everything it needs, for one Python and one architecture."""

"""How fast bundles are on this machine, what a message costs, and which settings suit it."""

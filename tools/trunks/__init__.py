"""Encoders in torch: one trunk a file, the heads that all of them carry, and reading weights."""

"""Looks labelled messages over before anything is trained on them. Knows nothing of models."""

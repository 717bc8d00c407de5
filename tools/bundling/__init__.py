"""From an exported model to a bundle and an archive: calibrated, described, sealed."""

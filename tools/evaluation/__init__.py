"""Scores of packed bundles: intervals, baselines, comparisons, reports. Works without torch."""

"""Unit and contract tests of the parts that need no agent process."""

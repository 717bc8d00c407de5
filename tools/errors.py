"""What a person at the training bench has to act on."""

from __future__ import annotations


class ToolError(Exception):
    """``problem`` names the thing; ``fix`` is a command or an edit."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix

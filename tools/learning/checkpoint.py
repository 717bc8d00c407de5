"""Where a training stands, on disk, so that it goes on after an interruption.

One file beside the bundle to come, replaced whole after each judgement of dev, gone when that is
packed.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from tools.errors import ToolError


class Checkpoint:
    """``path`` holds the state of one job, known by ``key``: its data, recipe and base."""

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key

    def load(self) -> dict[str, Any] | None:
        """The state of this very job, or None where there is none or it is another job's."""
        if not self.path.exists():
            return None
        try:
            saved = torch.load(self.path, weights_only=True)
        except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
            print(f"{self.path} cannot be read ({type(error).__name__}); training starts anew")
            return None
        if not isinstance(saved, dict) or saved.get("key") != self.key:
            print(f"{self.path} is of another training; this one starts anew", flush=True)
            return None
        return saved["state"]

    def save(self, state: dict[str, Any]) -> None:
        """Replaces the file, or leaves the old one as it was. Raises ToolError."""
        partial = self.path.with_name(f"{self.path.name}.partial")
        try:
            torch.save({"key": self.key, "state": state}, partial)
            partial.replace(self.path)
        except (RuntimeError, OSError) as error:
            partial.unlink(missing_ok=True)
            raise ToolError(
                f"{self.path} cannot be written: {str(error).splitlines()[0]}",
                "make room there (a checkpoint takes up to 400 MB), then run the same command",
            ) from error

    def clear(self) -> None:
        """The training is done."""
        self.path.unlink(missing_ok=True)

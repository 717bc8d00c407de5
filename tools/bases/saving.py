"""Weights of a base on disk. Knows nothing of what they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from tools.errors import ToolError


def save_weights(
    tensors: Mapping[str, Tensor], file: Path, metadata: dict[str, str] | None = None
) -> None:
    """Writes them. Raises ToolError where there is no room: the library has its own error then."""
    try:
        save_file(dict(tensors), file, metadata)
    except SafetensorError as error:
        raise ToolError(
            f"{file} cannot be written: {error}",
            "make room there, or name a folder with room before the same command: TMPDIR=FOLDER",
        ) from error

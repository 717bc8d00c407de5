"""The weights of a base, read one tensor at a time by the name the architecture gives them.

What stands in front of a name (``bert.``, ``model.``) is found out from the word table's. Tensors
are never run: pickles are read as weights only. Knows nothing of modules.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tools.bases.base import PICKLED, Base
from tools.errors import ToolError

COPY_AGAIN = "copy config.json and the weights again, both from the same model"
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


@dataclass(frozen=True)
class Layout:
    """Names of an architecture: its word table, what a layer's names begin with, and its parts."""

    words: str
    layer: str
    parts: tuple[str, ...]


LAYOUTS = {
    "bert": Layout(
        "embeddings.word_embeddings.weight", "encoder.layer.", ("embeddings.", "encoder.layer.")
    ),
    "gemma3": Layout("embed_tokens.weight", "layers.", ("embed_tokens.", "layers.", "norm.")),
}


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: a file and its name there."""

    file: Path
    name: str


class Weights:
    """The trunk's tensors of a base. ``places`` holds their names, without what precedes them."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.layout = LAYOUTS[base.architecture]
        everything = {name: file for file in base.weights for name in self._names(file)}
        prefix = _prefix(everything, self.layout.words, base.path)
        self.places = {
            canonical: Place(file, name)
            for name, file in everything.items()
            if name.startswith(prefix) and self._counts(canonical := _canonical(name, prefix))
        }

    def take(self, name: str, *shape: int) -> Tensor:
        """A tensor as float32. Raises ToolError where it is absent or of another shape."""
        tensor = self.read(name)
        if tuple(tensor.shape) != shape:
            place = self.places[name]
            raise ToolError(
                f"{place.file}: {place.name} has shape {list(tensor.shape)}, "
                f"config.json asks for {list(shape)}",
                COPY_AGAIN,
            )
        return tensor.float()

    def read(self, name: str) -> Tensor:
        """A tensor as it is stored, which must be as floats."""
        if name not in self.places:
            where = ", ".join(path.name for path in self.base.weights)
            raise ToolError(f"{self.base.path}: {where} has no tensor {name}", COPY_AGAIN)
        place = self.places[name]
        tensor = self._pickled[place.name] if _is_pickle(place.file) else _read_safely(place)
        if tensor.dtype not in FLOATS:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ToolError(
                f"{place.file}: {place.name} is stored as {kind}, and training needs floats",
                "take the checkpoint that is not quantised (float32, bfloat16 or float16)",
            )
        return tensor

    def _counts(self, name: str) -> bool:
        """Whether it belongs to the trunk; older files hold lists of positions as well."""
        return name.startswith(self.layout.parts) and not name.endswith("_ids")

    def _names(self, file: Path) -> list[str]:
        if _is_pickle(file):
            return list(self._pickled)
        with _guarded(file), safe_open(file, "pt") as tensors:
            return list(tensors.keys())

    @cached_property
    def _pickled(self) -> Mapping[str, Tensor]:
        file = self.base.path / PICKLED
        with _guarded(file):
            content = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(content, dict):
            raise ToolError(f"{file} holds no named tensors", "save it as model.safetensors")
        return {name: x for name, x in content.items() if isinstance(x, Tensor)}


@contextmanager
def _guarded(file: Path) -> Iterator[None]:
    """Reading ``file``: what its library complains of becomes a ToolError."""
    with file.open("rb") as start:
        if start.read(40).startswith(b"version https://git-lfs"):
            raise ToolError(f"{file} is only a pointer of Git LFS", "run: git lfs pull")
    try:
        yield
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ToolError(
            f"{file} cannot be read: {error}",
            "copy the file anew, or save the model as model.safetensors",
        ) from error


def _is_pickle(file: Path) -> bool:
    return file.name == PICKLED


def _read_safely(place: Place) -> Tensor:
    with _guarded(place.file), safe_open(place.file, "pt") as tensors:
        return tensors.get_tensor(place.name)


def _prefix(names: Mapping[str, Path], words: str, folder: Path) -> str:
    found = [name[: -len(words)] for name in names if name.endswith(words)]
    found = [prefix for prefix in found if not prefix or prefix.endswith(".")]
    if len(found) != 1:
        count = "no tensor" if not found else f"{len(found)} tensors"
        raise ToolError(f"{folder}: the weights have {count} called {words}", COPY_AGAIN)
    return found[0]


def _canonical(name: str, prefix: str) -> str:
    name = name.removeprefix(prefix)
    for old, new in OLD_NAMES.items():
        name = name.replace(old, new)
    return name

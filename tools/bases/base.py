"""Base models: any folder of Hugging Face's shape, and the default, all-MiniLM-L6-v2.

Knows the files of a folder, not what is in the weights.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tools.bases import minilm
from tools.bases.digests import sha256_of
from tools.bases.specials import Specials, read_json, read_specials
from tools.cache import cache_folder
from tools.errors import ToolError

ARCHITECTURES = {"bert": "bert", "gemma3_text": "gemma3", "gemma3": "gemma3"}
"""Architecture by ``model_type`` of config.json."""
INDEX = "model.safetensors.index.json"
PICKLED = "pytorch_model.bin"
ORIGIN = "provenance.json"
"""In a folder that the tools derived from another base: where it comes from."""
NEEDED_OF_ORIGIN = ("name", "licence", "sha256")
WINDOW_STEP_TOKENS = 8
"""The runtime pads to this multiple, so a window is one."""


@dataclass(frozen=True)
class Base:
    """A folder with ``config.json``, weights and ``tokenizer.json``.

    ``origin`` is its provenance where that is known better than the folder tells.
    """

    path: Path
    origin: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer.json"

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json; of a model of text and images, the part about text."""
        whole = read_json(self.path / "config.json")
        text = whole.get("text_config")
        return whole if text is None else {"model_type": "gemma3_text", **text}

    @cached_property
    def architecture(self) -> str:
        """``bert`` or ``gemma3``. Raises ToolError on anything else."""
        return _architecture(self.path)

    @cached_property
    def specials(self) -> Specials:
        return read_specials(self.path, read_tokenizer(self.tokenizer))

    @property
    def hole(self) -> int:
        """The id that hides a word in training: mask, or the nearest to it that there is."""
        specials = self.specials
        named = (specials.mask, specials.unk, specials.pad, specials.before[0])
        return next(i for i in named if i is not None)

    @property
    def layers(self) -> int:
        """How many layers the config tells of. Raises ToolError where it does not."""
        count = self.config.get("num_hidden_layers")
        if type(count) is not int or count < 1:
            raise ToolError(
                f"{self.path / 'config.json'}: num_hidden_layers is {count!r}",
                "copy the whole model folder, or choose another base",
            )
        return count

    @property
    def max_tokens(self) -> int:
        """The longest window the base has positions for."""
        positions = self.config.get("max_position_embeddings", 131072)
        return positions // WINDOW_STEP_TOKENS * WINDOW_STEP_TOKENS

    @property
    def weights(self) -> tuple[Path, ...]:
        """The files of the weights: safetensors, whole or in shards, else pickled tensors."""
        return weight_files(self.path)

    def provenance(self) -> dict[str, Any]:
        """Name, architecture, licence and digest; never a path of this machine."""
        return dict(self.origin) or {
            "name": _name(self.path),
            "architecture": self.architecture,
            "licence": _licence(self.path / "README.md"),
            "sha256": digest(self.weights),
        }


def open_base(path: Path) -> Base:
    """The base in a folder of one's own. Raises ToolError where it cannot be one."""
    for name in ("config.json", "tokenizer.json"):
        if not (path / name).is_file():
            raise ToolError(f"{path} has no {name}", _how_to_get(name, path))
    base = Base(path, read_origin(path))
    _ = base.architecture, base.weights, base.specials
    return base


def read_origin(folder: Path) -> dict[str, Any]:
    """What the tools wrote of a derived base; empty where that file is missing or another's."""
    try:
        found = read_json(folder / ORIGIN)
    except ToolError:
        return {}
    is_own = all(isinstance(found.get(key), str) for key in NEEDED_OF_ORIGIN)
    return found if is_own and isinstance(found.get("changes", []), list) else {}


def fetch_base() -> Base:
    """The default base from the cache, downloaded first if it is not there. Raises ToolError."""
    folder = cache_folder() / "all-MiniLM-L6-v2"
    return Base(folder, minilm.fetch(folder))


def read_tokenizer(file: Path) -> Tokenizer:
    """Raises ToolError where the library cannot read the file."""
    try:
        return Tokenizer.from_buffer(file.read_bytes())
    except ValueError as error:
        raise ToolError(
            f"{file} cannot be read: {error}", _how_to_get(file.name, file.parent)
        ) from error


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Every file that holds weights. Raises ToolError where one is missing."""
    whole, index = folder / "model.safetensors", folder / INDEX
    if whole.is_file():
        return (whole,)
    if index.is_file():
        return _shards(index)
    if (folder / PICKLED).is_file():
        return (folder / PICKLED,)
    raise ToolError(
        f"{folder} has no weights: none of {whole.name}, {INDEX}, {PICKLED}",
        "copy the weights into the folder",
    )


def digest(files: tuple[Path, ...]) -> str:
    """sha256 of the one file, or of the digests of several."""
    each = [sha256_of(path) for path in files]
    return each[0] if len(each) == 1 else hashlib.sha256("\n".join(each).encode()).hexdigest()


def _shards(index: Path) -> tuple[Path, ...]:
    """The files an index names; only names, so that it cannot point out of its folder."""
    places = read_json(index).get("weight_map")
    names = sorted({str(name) for name in places.values()}) if isinstance(places, dict) else []
    for name in names:
        if Path(name).name != name or not (index.parent / name).is_file():
            raise ToolError(
                f"{index} names {name}, which is not in the folder", "copy every shard beside it"
            )
    if not names:
        raise ToolError(f"{index} names no file", "copy the index and every shard anew")
    return tuple(index.parent / name for name in names)


def _architecture(folder: Path) -> str:
    kind = read_json(folder / "config.json").get("model_type")
    if kind in ARCHITECTURES:
        return ARCHITECTURES[kind]
    if kind is None:
        raise ToolError(
            f"{folder / 'config.json'} has no model_type",
            'add "model_type": "bert" to it, if it is a BERT',
        )
    raise ToolError(
        f"{folder / 'config.json'} has model_type {kind}; a base is one of "
        f"{', '.join(sorted(ARCHITECTURES))}",
        "choose a base of one of these types",
    )


def _how_to_get(name: str, folder: Path) -> str:
    if name != "tokenizer.json":
        return "copy the whole model folder"
    return (
        'python -c "from transformers import AutoTokenizer; '
        f"AutoTokenizer.from_pretrained('{folder}').save_pretrained('{folder}')\""
    )


def _name(folder: Path) -> str:
    """The name on the hub where the config tells one, else the folder's."""
    declared = str(read_json(folder / "config.json").get("_name_or_path", ""))
    is_hub_name = re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", declared)
    return declared if is_hub_name else folder.resolve().name


def _licence(readme: Path) -> str:
    """``license:`` of the front matter."""
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    front = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    found = front and re.search(r"^license:\s*(\S+)\s*$", front[1], re.MULTILINE)
    return found[1].strip("'\"") if found else "unknown, see the folder"

"""Smaller bases out of bases, folder to folder: fewer pieces, fewer layers.

What comes out is a base like any other; ``provenance.json`` in it tells where it comes from.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tools.bases.base import ORIGIN, Base, open_base, read_origin, read_tokenizer
from tools.bases.borders import hiding_pieces
from tools.bases.pieces import SAFETY_PIECES, Trimmed, trimmed, without
from tools.bases.saving import save_weights
from tools.corpus.annotation import Example
from tools.errors import ToolError
from tools.trunks.gemma3_shape import layer_kinds
from tools.trunks.settings import Settings
from tools.trunks.weights import Weights

MODEL_TYPES = {"bert": "bert", "gemma3": "gemma3_text"}


@dataclass(frozen=True)
class Derived:
    """A base to be written: its parts, and in words what was changed."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]
    tokenizer: str
    change: str


def trim_vocabulary(
    base: Base, texts: Sequence[str], out: Path, safety: int = SAFETY_PIECES
) -> Base:
    """``base`` with only the pieces that ``texts`` need, characters, and ``safety`` common words.

    The texts are cut into the same pieces as before; other texts into the same or smaller ones.
    Raises ToolError.
    """
    if not texts or safety < 0:
        raise ToolError(
            f"no vocabulary can be chosen from {len(texts)} texts and {safety} common pieces",
            "give it the training messages, and 0 or more common pieces",
        )
    small = trimmed(base.tokenizer.read_bytes(), texts, safety, base.specials.ids)
    before = Settings(base).vocabulary
    change = f"vocabulary trimmed from {before} to {len(small.kept)} pieces"
    return _write(base, _with_vocabulary(base, small, change), out)


def uncover_borders(
    base: Base, train: Sequence[Example], dev: Sequence[Example], out: Path
) -> Base:
    """``base`` without the pieces in which entities begin or end; itself where there are none.

    Words that such pieces occur in are cut into smaller ones. See ``hiding_pieces``.
    """
    content = base.tokenizer.read_bytes()
    hiding = hiding_pieces(content, train, dev)
    if not hiding:
        return base
    change = f"left out {len(hiding)} pieces to tell apart entities inside words"
    return _write(base, _with_vocabulary(base, without(content, hiding), change), out)


def drop_layers(base: Base, keep: tuple[int, ...], out: Path) -> Base:
    """``base`` with only the layers ``keep``, counted from 0 and rising. Raises ToolError."""
    layers = Settings(base).size("num_hidden_layers")
    if not keep or list(keep) != sorted({*keep} & {*range(layers)}):
        raise ToolError(
            f"{base.path.name} has the layers 0 to {layers - 1}, and {list(keep)} is no choice",
            "name layers of it in rising order, each once",
        )
    weights = Weights(base)
    config = {**base.config, "num_hidden_layers": len(keep)}
    if base.architecture == "gemma3":
        kinds = layer_kinds(Settings(base), layers)
        config["layer_types"] = [kinds[i] for i in keep]
    tensors = {
        name: weights.read(old)
        for old in weights.places
        if (name := _relayered(old, weights.layout.layer, keep)) is not None
    }
    change = f"kept the layers {', '.join(map(str, keep))} of {layers}"
    tokenizer = base.tokenizer.read_text(encoding="utf-8")
    return _write(base, Derived(config, tensors, tokenizer, change), out)


def spread(layers: int, count: int) -> tuple[int, ...]:
    """``count`` of so many layers, evenly, the first and the last among them. Raises ToolError."""
    if not 1 <= count <= layers:
        raise ToolError(f"{count} of {layers} layers cannot be kept", f"keep 1 to {layers} of them")
    return tuple(i * (layers - 1) // max(1, count - 1) for i in range(count))


def _with_vocabulary(base: Base, small: Trimmed, change: str) -> Derived:
    """The base with fewer pieces."""
    weights = Weights(base)
    tensors = {name: weights.read(name) for name in weights.places}
    words = weights.layout.words
    tensors[words] = _rows(tensors[words], Settings(base).vocabulary, small.kept)
    return Derived(_renumbered(base.config, small.kept), tensors, small.tokenizer, change)


def _rows(table: Tensor, vocabulary: int, kept: tuple[int, ...]) -> Tensor:
    """Rows of ``table`` [V, H]; zeros for a special token that lies beyond it."""
    beyond = table.new_zeros(max(0, vocabulary - len(table)), table.shape[1])
    return torch.cat([table, beyond])[list(kept)]


def _renumbered(config: dict[str, Any], kept: tuple[int, ...]) -> dict[str, Any]:
    """The config for so many pieces; ids of tokens in it become the new ones, or null."""
    new = {old: i for i, old in enumerate(kept)}

    def renumbered(value: Any) -> Any:
        return [new.get(i) for i in value] if isinstance(value, list) else new.get(value)

    ids = {key: renumbered(value) for key, value in config.items() if key.endswith("_token_id")}
    return {**config, **ids, "vocab_size": len(kept)}


def _relayered(name: str, prefix: str, keep: tuple[int, ...]) -> str | None:
    """A tensor's name when only ``keep`` are left; None for a tensor of another layer."""
    found = re.fullmatch(rf"{re.escape(prefix)}(\d+)(\..*)", name)
    if not found:
        return name
    layer = int(found[1])
    return f"{prefix}{keep.index(layer)}{found[2]}" if layer in keep else None


def _write(base: Base, derived: Derived, out: Path) -> Base:
    """Writes the folder beside ``out``, then takes its place."""
    _refuse_foreign_folder(out, base)
    fresh = out.with_name(f"{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    origin = base.provenance()
    changes = [*origin.get("changes", []), derived.change]
    tensors = {name: tensor.contiguous() for name, tensor in derived.tensors.items()}
    save_weights(tensors, fresh / "model.safetensors", {"format": "pt"})
    (fresh / "tokenizer.json").write_text(derived.tokenizer, encoding="utf-8")
    _write_json(fresh / "config.json", _plain(derived.config, base.architecture))
    _write_json(fresh / "special_tokens_map.json", _special_names(base))
    _write_json(fresh / ORIGIN, {**origin, "changes": changes})
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
    return open_base(out)


def _plain(config: dict[str, Any], architecture: str) -> dict[str, Any]:
    """Without what names a place on the machine where the base was saved."""
    left = {key: value for key, value in config.items() if key != "_name_or_path"}
    return {**left, "model_type": MODEL_TYPES[architecture]}


def _special_names(base: Base) -> dict[str, str]:
    tokenizer, specials = read_tokenizer(base.tokenizer), base.specials
    ids = {"pad_token": specials.pad, "unk_token": specials.unk, "mask_token": specials.mask}
    return {role: tokenizer.id_to_token(i) for role, i in ids.items() if i is not None}


def _refuse_foreign_folder(out: Path, base: Base) -> None:
    """``out`` is replaced whole, so only what these tools wrote, or nothing, may stand there."""
    is_own = bool(read_origin(out)) and out.resolve() != base.path.resolve()
    if out.exists() and not is_own:
        raise ToolError(
            f"{out} exists and is no base that was cut down; it would be replaced",
            f"choose another folder: {out}-small",
        )


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

"""Fewer pieces for a tokenizer, such that the texts at hand are cut exactly as before.

Kept are special tokens, single characters and bytes (so that nothing becomes unknown that was
known), the pieces of the texts, and the commonest words and affixes for texts yet to come. Knows
nothing of models; ids are the row numbers of their word tables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tokenizers import Tokenizer

from tools.errors import ToolError

Json = dict[str, Any]
BYTE = re.compile(r"<0x[0-9A-F]{2}>")
PLACEHOLDER = re.compile(r"[<\[]unused_?\d+[>\]]")
SPACE = "▁"
SAFETY_PIECES = 4000
"""Common pieces kept besides those that the messages need."""


@dataclass(frozen=True)
class Trimmed:
    """``tokenizer`` is a tokenizer.json; its id i is the piece that was ``kept[i]``."""

    tokenizer: str
    kept: tuple[int, ...]


def trimmed(content: bytes, texts: Iterable[str], safety: int, also: Iterable[int] = ()) -> Trimmed:
    """The tokenizer.json in ``content`` cut down to what ``texts`` need and ``safety`` more.

    The ids ``also`` are kept besides.
    """
    whole = json.loads(content)
    kind = whole["model"].get("type")
    if kind not in CLOSURES:
        raise ToolError(
            f"a vocabulary of type {kind} cannot be trimmed; {' and '.join(CLOSURES)} can",
            "train without trimming, or choose another base",
        )
    names = _names(whole)
    wanted = {names[i] for i in (*also, *_used(content, texts))}
    wanted |= _always(whole, names, wanted) | set(_commonest(whole, names, safety))
    wanted = CLOSURES[kind](whole["model"], wanted)
    kept = tuple(sorted(i for i, name in names.items() if name in wanted))
    return Trimmed(json.dumps(_renumbered(whole, kept, names), ensure_ascii=False), kept)


def without(content: bytes, left_out: Collection[str]) -> Trimmed:
    """The tokenizer.json in ``content`` without these pieces: their words fall apart."""
    whole = json.loads(content)
    names = _names(whole)
    kept = tuple(i for i in sorted(names) if names[i] not in left_out)
    return Trimmed(json.dumps(_renumbered(whole, kept, names), ensure_ascii=False), kept)


def spelled_by_others(content: bytes) -> frozenset[str]:
    """The pieces of text that can be left out, since their characters are pieces by themselves."""
    whole = json.loads(content)
    if whole["model"].get("type") not in CLOSURES:
        return frozenset()
    pieces, prefix = whole["model"]["vocab"], whole["model"].get("continuing_subword_prefix") or ""
    return frozenset(
        name
        for name in pieces.keys() - _always(whole, _names(whole), pieces.keys())
        if not PLACEHOLDER.fullmatch(name) and pieces.keys() >= _characters(name, prefix)
    )


def _characters(name: str, prefix: str) -> set[str]:
    """What a piece falls apart into when no other is left."""
    first, *others = name.removeprefix(prefix)
    begin = prefix if prefix and name.startswith(prefix) else ""
    return {begin + first, *(prefix + other for other in others)}


def _names(whole: Json) -> dict[int, str]:
    """Every piece by its id."""
    names = {i: name for name, i in whole["model"]["vocab"].items()}
    return names | {token["id"]: token["content"] for token in whole["added_tokens"]}


def _used(content: bytes, texts: Iterable[str]) -> set[int]:
    tokenizer = Tokenizer.from_buffer(content)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return {i for encoding in tokenizer.encode_batch(list(texts)) for i in encoding.ids}


def _always(whole: Json, names: Mapping[int, str], used: Set[str]) -> set[str]:
    """Special tokens but for placeholders nobody wrote, single characters, bytes."""
    added = {token["content"] for token in whole["added_tokens"]}
    added = {name for name in added if name in used or not PLACEHOLDER.fullmatch(name)}
    single = {n for n in names.values() if len(_bare(whole, n)) == 1 or len(n) == 1}
    unknown = {whole["model"].get("unk_token")} - {None}
    return added | single | unknown | {n for n in names.values() if BYTE.fullmatch(n)}


def _commonest(whole: Json, names: Mapping[int, str], count: int) -> list[str]:
    """The first whole words and affixes of the vocabulary, which goes from common to rare."""
    bare = ((names[i], _bare(whole, names[i])) for i in sorted(names))
    return [name for name, text in bare if len(text) > 1 and _is_word(text)][:count]


def _is_word(text: str) -> bool:
    return text.isascii() and text.isalpha()


def _bare(whole: Json, name: str) -> str:
    """A piece without the mark of its place in a word."""
    return name.removeprefix(whole["model"].get("continuing_subword_prefix") or SPACE)


def _nothing_more(_: Json, wanted: set[str]) -> set[str]:
    """WordPiece takes the longest piece that fits: fewer others change nothing."""
    return wanted


def _with_steps(model: Json, wanted: set[str]) -> set[str]:
    """BPE gets to a piece by merging smaller ones: those are needed as well."""
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise ToolError(
            "a BPE vocabulary whose pieces carry prefixes or suffixes cannot be trimmed",
            "train without trimming, or choose another base",
        )
    ranks = {pair: rank for rank, pair in enumerate(_merges(model))}
    return wanted.union(*(_steps(name, ranks) for name in wanted))


CLOSURES = {"WordPiece": _nothing_more, "BPE": _with_steps}


def _steps(name: str, ranks: Mapping[tuple[str, str], int]) -> set[str]:
    """Every piece on the way from the characters of ``name`` to the end of merging."""
    parts, seen = list(name), set()
    while True:
        pairs = [(ranks.get(pair, len(ranks)), i) for i, pair in enumerate(pairwise(parts))]
        rank, i = min(pairs, default=(len(ranks), 0))
        if rank == len(ranks):
            return seen
        parts[i : i + 2] = ["".join(parts[i : i + 2])]
        seen.add(parts[i])


def _merges(model: Json) -> list[tuple[str, str]]:
    """Pairs, which older files write as one string with a space."""
    return [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]


def _renumbered(whole: Json, kept: tuple[int, ...], names: Mapping[int, str]) -> Json:
    """The tokenizer with only ``kept``, numbered densely in their old order."""
    new = {old: i for i, old in enumerate(kept)}
    model = dict(whole["model"])
    model["vocab"] = {name: new[i] for name, i in model["vocab"].items() if i in new}
    if "merges" in model:
        left = {names[i] for i in kept}
        merges = [pair for pair in _merges(model) if {*pair, "".join(pair)} <= left]
        model["merges"] = [list(pair) for pair in merges]
    added = [{**t, "id": new[t["id"]]} for t in whole["added_tokens"] if t["id"] in new]
    around = _reprocessed(whole["post_processor"], new)
    fresh = {"model": model, "added_tokens": added, "post_processor": around}
    return {**whole, **fresh, "padding": None, "truncation": None}


def _reprocessed(processor: Json | None, new: Mapping[int, int]) -> Json | None:
    """A post-processor with the new ids of the tokens it puts around a text."""
    if processor is None:
        return None
    changed = dict(processor)
    for role in ("cls", "sep"):
        if role in changed:
            name, old = changed[role]
            changed[role] = [name, new[old]]
    if "special_tokens" in changed:
        tokens = changed["special_tokens"].items()
        changed["special_tokens"] = {
            name: {**token, "ids": [new[i] for i in token["ids"]]} for name, token in tokens
        }
    if "processors" in changed:
        changed["processors"] = [_reprocessed(part, new) for part in changed["processors"]]
    return changed

"""A tokenizer of byte pairs in little memory. Knows nothing of prompts.

``tokenizers`` keeps pieces and merges in hash maps: 90 MB for the 262,144 pieces of Gemma. Here it
gets the single characters only, and does what comes before merging: it cleans the text, finds
added tokens, cuts words, and spells unknown characters in bytes. The merging is ours.
"""

from __future__ import annotations

import json
import re
from array import array
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from operator import itemgetter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_agent.errors import BundleError
from edge_agent.inference.encode import open_tokenizer
from edge_agent.inference.merges import Merges

NO_TEXT = b"\xff"
"""Begins the octets of a token that stands for no text: UTF-8 has no such octet."""
SPACE = "▁"
"""How pieces write a space."""
OCTET = re.compile("<0x(..)>")
"""The piece of a single octet: ``<0x0A>``."""


Id = Annotated[int, Field(ge=0, lt=1 << 24)]


class _Parts(BaseModel):
    """A part of tokenizer.json; what has no name here is handed on as it is."""

    model_config = ConfigDict(extra="allow", cache_strings="none")


class _Model(_Parts):
    type: Literal["BPE"]
    vocab: dict[str, Id]
    merges: list[tuple[str, str] | str]
    byte_fallback: Literal[True]
    unk_token: str | None = None
    dropout: None = None
    ignore_merges: Literal[False] = False
    continuing_subword_prefix: Literal["", None] = None
    end_of_word_suffix: Literal["", None] = None


class _Added(_Parts):
    content: str
    special: bool


class _File(_Parts):
    added_tokens: list[_Added]
    model: _Model


@dataclass(frozen=True, slots=True)
class Pieces:
    """Token ids of a text; ``offsets[i]`` is the half-open character span of token i."""

    ids: list[int]
    offsets: list[tuple[int, int]]


class BytePairs:
    """Texts to tokens, and tokens to the octets they stand for.

    ``around`` are the ids that the file's template puts before a text and behind it.
    """

    def __init__(self, tokenizer_json: bytes) -> None:
        file = _parsed(tokenizer_json)
        try:
            self._merges = Merges.of(file.model.merges, file.model.vocab)
            self._octets = _Octets(_octets_by_id(file))
            self._space = [file.model.vocab[f"<0x{octet:02X}>"] for octet in SPACE.encode()]
        except (KeyError, ValueError) as error:
            raise _unusable(f"its pieces and merges do not belong together: {error}") from error
        self._characters = open_tokenizer(_characters_only(file))
        self.around = self._around()

    def encode(self, text: str, *, specials: bool = False) -> Pieces:
        """Special tokens in the text are text like any other, or with ``specials`` themselves."""
        self._characters.encode_special_tokens = not specials
        found = self._characters.encode(text, add_special_tokens=False)
        merged: list[tuple[int, int]] = []
        for _, word in groupby(zip(found.word_ids, found.ids, strict=True), itemgetter(0)):
            merged += self._merges.apply([character for _, character in word])
        places, spans = [0, *accumulate(taken for _, taken in merged)], found.offsets
        offsets = [(spans[first][0], spans[behind - 1][1]) for first, behind in pairwise(places)]
        return Pieces([token for token, _ in merged], offsets)

    def spell(self, text: str) -> list[int]:
        """Ids of tokens whose octets are the text: ``encode`` takes ``SPACE`` for a space."""
        first, *others = (self.encode(part).ids for part in text.split(SPACE))
        return [*first, *(token for ids in others for token in (*self._space, *ids))]

    def _around(self) -> tuple[list[int], list[int]]:
        found, alone = (self._characters.encode("a", add_special_tokens=x) for x in (True, False))
        first = next((i for i, special in enumerate(found.special_tokens_mask) if not special), 0)
        return found.ids[:first], found.ids[first + len(alone) :]

    def octets(self) -> list[bytes]:
        """Of each token by its id. Those that stand for no text begin with ``NO_TEXT``."""
        return self._octets.each()


class _Octets:
    """Of many tokens, one behind the other: as objects they would take ten times as much."""

    def __init__(self, by_id: dict[int, bytes]) -> None:
        each = [by_id.get(i, NO_TEXT + b"<[%d]>" % i) for i in range(max(by_id) + 1)]
        self._ends = array("I", accumulate(map(len, each)))
        self._whole = b"".join(each)

    def each(self) -> list[bytes]:
        starts = [0, *self._ends[:-1]]
        return [self._whole[start:end] for start, end in zip(starts, self._ends, strict=True)]


def _octets_by_id(file: _File) -> dict[int, bytes]:
    found = {i: _octets(piece) for piece, i in file.model.vocab.items()}
    ids = _added_ids(file)
    for token in file.added_tokens:
        text = token.content
        found[ids[text]] = NO_TEXT + text.encode() if token.special else _octets(text)
    return found


def _added_ids(file: _File) -> dict[str, int]:
    """As ``tokenizers`` counts: what the vocabulary lacks follows it, whatever the file says."""
    found: dict[str, int] = {}
    following = len(file.model.vocab)
    for token in file.added_tokens:
        found[token.content] = file.model.vocab.get(token.content, following)
        following = max(following, found[token.content] + 1)
    return found


def _octets(piece: str) -> bytes:
    if octet := OCTET.fullmatch(piece):
        return bytes.fromhex(octet[1])
    return piece.replace(SPACE, " ").encode()


def _characters_only(file: _File) -> bytes:
    """The tokenizer.json without merges and what they make."""
    model = file.model
    few = {
        piece: i
        for piece, i in model.vocab.items()
        if len(piece) == 1 or OCTET.fullmatch(piece) or piece == model.unk_token
    }
    few |= _added_ids(file)
    small = model.model_copy(update={"vocab": few, "merges": []})
    return json.dumps(file.model_copy(update={"model": small}).model_dump()).encode()


def _parsed(tokenizer_json: bytes) -> _File:
    try:
        return _File.model_validate_json(tokenizer_json)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _unusable(f"{place}: {first['msg']}") from error


def _unusable(why: str) -> BundleError:
    return BundleError(
        f"tokenizer.json is none of byte pairs with bytes to fall back on: {why}",
        "pack the bundle again with the tokenizer its model was trained with",
    )

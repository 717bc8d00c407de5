"""Texts to padded token ids. The only importer of tokenizers. Knows nothing of models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edge_agent.errors import BundleError
from edge_agent.inference.grouping import padded

MAX_CHARS_PER_TOKEN = 16
"""Text beyond ``max_tokens`` times this is cut before tokenising, so hostile input stays cheap."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """One tokenised text. ``offsets[i]`` is the half-open character span of token i.

    Special tokens have the empty span ``(0, 0)``. ``text_tokens`` counts the others,
    ``unknown_tokens`` those the tokenizer has no entry for: None when it can spell everything.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]
    truncated: bool
    text_tokens: int = 0
    unknown_tokens: int | None = None

    def __len__(self) -> int:
        return len(self.ids)


class TextEncoder:
    """A tokenizer with a window of ``max_tokens``, special tokens included."""

    def __init__(self, tokenizer_json: bytes, max_tokens: int) -> None:
        self._tokenizer = open_tokenizer(tokenizer_json)
        self._tokenizer.enable_truncation(max_tokens)
        self._max_chars = max_tokens * MAX_CHARS_PER_TOKEN
        self._unknown_id = _unknown_id(self._tokenizer)

    def encode(self, text: str) -> Encoding:
        """Token ids and offsets of a text; the tail beyond the window is left out."""
        encoding = self._tokenizer.encode(text[: self._max_chars])
        truncated = len(text) > self._max_chars or bool(encoding.overflowing)
        ids, unknown = encoding.ids, self._unknown_id
        text_tokens = len(ids) - sum(encoding.special_tokens_mask)
        unknown_tokens = None if unknown is None else ids.count(unknown)
        return Encoding(ids, encoding.offsets, truncated, text_tokens, unknown_tokens)


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    """None where every text can be spelled, by bytes if need be."""
    word = getattr(tokenizer.model, "unk_token", None)
    if word is None or getattr(tokenizer.model, "byte_fallback", False):
        return None
    unknown_id: int | None = tokenizer.token_to_id(word)
    return unknown_id


def open_tokenizer(tokenizer_json: bytes) -> Tokenizer:
    """Of a tokenizer.json. BundleError when there is none in it."""
    try:
        tokenizer = Tokenizer.from_buffer(tokenizer_json)
    except ValueError as error:
        raise BundleError(
            f"tokenizer.json cannot be read: {error}",
            "pack the bundle again with the tokenizer its model was trained with",
        ) from error
    tokenizer.no_padding()
    return tokenizer


def pad(encodings: list[Encoding]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and mask, both ``[B, T]``, T rounded up so that few shapes reach the session."""
    width = padded(max(len(encoding) for encoding in encodings))
    ids = np.zeros((len(encodings), width), np.int64)
    mask = np.zeros_like(ids)
    for row, encoding in enumerate(encodings):
        ids[row, : len(encoding)] = encoding.ids
        mask[row, : len(encoding)] = 1
    return ids, mask

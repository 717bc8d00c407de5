"""Texts to padded token ids. The only importer of tokenizers. Knows nothing of models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edge_agent.errors import BundleError

MAX_CHARS_PER_TOKEN = 16
"""Text beyond ``max_tokens`` times this is cut before tokenising, so hostile input stays cheap."""

PAD_MULTIPLE_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Encoding:
    """One tokenised text. ``offsets[i]`` is the half-open character span of token i.

    Special tokens have the empty span ``(0, 0)``.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]
    truncated: bool

    def __len__(self) -> int:
        return len(self.ids)


class TextEncoder:
    """A tokenizer with a window of ``max_tokens``, special tokens included."""

    def __init__(self, tokenizer_json: bytes, max_tokens: int) -> None:
        try:
            self._tokenizer = Tokenizer.from_buffer(tokenizer_json)
        except ValueError as error:
            raise BundleError(
                f"tokenizer.json cannot be read: {error}",
                "pack the bundle again with the tokenizer its model was trained with",
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._max_chars = max_tokens * MAX_CHARS_PER_TOKEN

    def encode(self, text: str) -> Encoding:
        """Token ids and offsets of a text; the tail beyond the window is left out."""
        encoding = self._tokenizer.encode(text[: self._max_chars])
        truncated = len(text) > self._max_chars or bool(encoding.overflowing)
        return Encoding(encoding.ids, encoding.offsets, truncated)


def pad(encodings: list[Encoding]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and mask, both ``[B, T]``, T rounded up so that few shapes reach the session."""
    longest = max(len(encoding) for encoding in encodings)
    width = -(-longest // PAD_MULTIPLE_TOKENS) * PAD_MULTIPLE_TOKENS
    ids = np.zeros((len(encodings), width), np.int64)
    mask = np.zeros_like(ids)
    for row, encoding in enumerate(encodings):
        ids[row, : len(encoding)] = encoding.ids
        mask[row, : len(encoding)] = 1
    return ids, mask

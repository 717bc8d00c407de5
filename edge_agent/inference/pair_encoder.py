"""Texts to token ids for an encoder, by whichever tokenizer takes little memory."""

from __future__ import annotations

from edge_agent.errors import BundleError
from edge_agent.inference.byte_pairs import BytePairs
from edge_agent.inference.encode import MAX_CHARS_PER_TOKEN, Encoding, TextEncoder

LARGE_BYTES = 4 << 20
"""Of a tokenizer.json. The library is faster, and of a smaller file it makes little."""


class PairEncoder:
    """A tokenizer of byte pairs with a window of ``max_tokens``, as ``TextEncoder`` has it."""

    def __init__(self, pairs: BytePairs, max_tokens: int) -> None:
        self._pairs = pairs
        self._room = max_tokens - sum(map(len, pairs.around))
        self._max_chars = max_tokens * MAX_CHARS_PER_TOKEN

    def encode(self, text: str) -> Encoding:
        """Token ids and offsets of a text; the tail beyond the window is left out."""
        pieces = self._pairs.encode(text[: self._max_chars], specials=True)
        before, behind = self._pairs.around
        ids, offsets = pieces.ids[: self._room], pieces.offsets[: self._room]
        nowhere = [(0, 0)]
        return Encoding(
            [*before, *ids, *behind],
            [*nowhere * len(before), *offsets, *nowhere * len(behind)],
            truncated=len(text) > self._max_chars or len(pieces.ids) > self._room,
            text_tokens=len(ids),
        )


def text_encoder(tokenizer_json: bytes, max_tokens: int) -> TextEncoder | PairEncoder:
    """Ours for the large tokenizers that it can read. BundleError when there is none in it."""
    if len(tokenizer_json) >= LARGE_BYTES:
        try:
            return PairEncoder(BytePairs(tokenizer_json), max_tokens)
        except BundleError:  # pieces of another kind: the library knows them all
            pass
    return TextEncoder(tokenizer_json, max_tokens)

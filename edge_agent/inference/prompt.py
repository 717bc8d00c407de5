"""A fixed prompt around a text, as tokens. Knows nothing of models."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.errors import BundleError
from edge_agent.inference.byte_pairs import BytePairs
from edge_agent.inference.encode import MAX_CHARS_PER_TOKEN
from edge_agent.inference.spans import whole_words

TEXT = "{text}"
"""Where the text stands in a prompt."""
SMALLEST_ROOM_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids of a prompt, what whole words it has of the text, and where that stands last."""

    ids: list[int]
    text: str
    last: int


class PromptEncoder:
    """A fixed prompt around a text. Special tokens in the prompt count; in the text they are text.

    ``template`` holds ``{text}`` once or more often: a model that only looks back reads the text
    knowing all of it when it comes again ("echo", arXiv 2402.15449).
    """

    def __init__(self, tokenizer: BytePairs, template: str, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        parts = [tokenizer.encode(part, specials=True).ids for part in template.split(TEXT)]
        self._head, *self._behind = parts
        self._room = (max_tokens - sum(map(len, parts))) // len(self._behind)
        if self._room < SMALLEST_ROOM_TOKENS:
            raise BundleError(
                f"task.prompt leaves {max(self._room, 0)} tokens for the text",
                "shorten the prompt, or lower task.max_output_tokens",
            )

    def encode(self, text: str) -> Prompt:
        """The prompt with this text in it; the tail of the text that has no room is left out."""
        kept = text[: self._room * MAX_CHARS_PER_TOKEN]
        pieces = self._tokenizer.encode(kept)
        if len(pieces.ids) > self._room:
            kept = kept[: pieces.offsets[self._room - 1][1]]
        ids, last = [*self._head], 0
        for part in self._behind:
            last = len(ids)
            ids += [*pieces.ids[: self._room], *part]
        return Prompt(ids, whole_words(text, len(kept)), last)

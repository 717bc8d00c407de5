"""The tokens that end a text that a model writes. Knows nothing of models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tools.bases.specials import read_json
from tools.errors import ToolError

END_OF_TURN = "<end_of_turn>"
FILES = ("config.json", "generation_config.json")


def stop_names(folder: Path, tokenizer: Tokenizer) -> tuple[str, ...]:
    """Names of the end-of-text tokens that the folder's files give, and that of a turn's end.

    By name, since trimming the vocabulary gives other ids. Raises ToolError when there is none.
    """
    whole = [read_json(folder / name) for name in FILES]
    parts = [*whole, *(content.get("text_config") or {} for content in whole)]
    ids = {i for part in parts for i in _as_list(part.get("eos_token_id"))}
    names = {tokenizer.id_to_token(i) for i in sorted(ids)} - {None}
    if tokenizer.token_to_id(END_OF_TURN) is not None:
        names.add(END_OF_TURN)
    if not names:
        raise ToolError(
            f"{folder / 'config.json'} names no token that ends a text",
            'add "eos_token_id" to it, for Gemma 3: "eos_token_id": [1, 106]',
        )
    return tuple(sorted(names))


def _as_list(value: Any) -> list[int]:
    found = value if isinstance(value, list) else [value]
    return [i for i in found if isinstance(i, int) and i >= 0]

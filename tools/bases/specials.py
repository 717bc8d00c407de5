"""The tokens of a tokenizer that stand for no text: padding, unknown, mask, and those put around.

Knows nothing of models.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tools.errors import ToolError

NAME_FILES = ("tokenizer_config.json", "special_tokens_map.json")
CUSTOMARY = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "mask": ("[MASK]", "<mask>"),
}


@dataclass(frozen=True)
class Specials:
    """Ids; None where the tokenizer has no such token.

    ``before`` and ``after`` are what the tokenizer itself puts around every text, in order.
    """

    pad: int | None
    unk: int | None
    mask: int | None
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def ids(self) -> frozenset[int]:
        """All of them."""
        named = {self.pad, self.unk, self.mask} - {None}
        return frozenset({*named, *self.before, *self.after})


def read_specials(folder: Path, tokenizer: Tokenizer) -> Specials:
    """Specials of ``tokenizer``, by the names that the files of ``folder`` give, else customary."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encoding = tokenizer.encode("a")
    flags = encoding.special_tokens_mask
    if 0 not in flags or not flags[0]:
        raise ToolError(
            f"{folder / 'tokenizer.json'} puts no special token in front of a text, "
            "and the route is read there",
            "save it with one: AutoTokenizer.from_pretrained(DIR, add_bos_token=True)"
            ".save_pretrained(DIR)",
        )
    first, last = flags.index(0), len(flags) - flags[::-1].index(0)
    named = {role: _id_of(role, folder, tokenizer) for role in CUSTOMARY}
    return Specials(**named, before=tuple(encoding.ids[:first]), after=tuple(encoding.ids[last:]))


def _id_of(role: str, folder: Path, tokenizer: Tokenizer) -> int | None:
    declared = [_declared(read_json(folder / name), role) for name in NAME_FILES]
    own = getattr(tokenizer.model, "unk_token", None) if role == "unk" else None
    for name in (*declared, own, *CUSTOMARY[role]):
        if name is not None and (found := tokenizer.token_to_id(name)) is not None:
            return found
    return None


def _declared(content: dict[str, Any], role: str) -> str | None:
    """The token of a role is given as a string, or as an object with its ``content``."""
    token = content.get(f"{role}_token")
    return token.get("content") if isinstance(token, dict) else token


def read_json(file: Path) -> dict[str, Any]:
    """The object in ``file``; empty where there is no file. Raises ToolError."""
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ToolError(f"{file} is not JSON: {error}", "copy the file anew") from error
    if not isinstance(content, dict):
        raise ToolError(f"{file} holds no JSON object", "copy the file anew")
    return content

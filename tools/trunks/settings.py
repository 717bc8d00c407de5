"""config.json of a base, read with refusals: each names the file, the key and what would do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import cached_property

from tools.bases.base import WINDOW_STEP_TOKENS, Base, read_tokenizer
from tools.errors import ToolError
from tools.trunks.quantise import BLOCK

CHOOSE_ANOTHER = "choose another base"


@dataclass(frozen=True)
class Heads:
    """What a training asks of an encoder, whatever its trunk."""

    routes: int
    labels: int
    max_tokens: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True)
class Settings:
    """Values of a base's config.json by key."""

    base: Base

    def size(self, key: str, default: int | None = None) -> int:
        """A positive whole number."""
        value = self.base.config.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.problem(f"{key} is {value!r}, not a positive whole number")
        return value

    def number(self, key: str, default: float) -> float:
        """A positive number."""
        value = self.base.config.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
            raise self.problem(f"{key} is {value!r}, not a positive number")
        return float(value)

    def one_of(self, key: str, known: Collection[str], default: str) -> str:
        """A string that the trunk and the graph can express."""
        value = self.base.config.get(key, default)
        if value not in known:
            raise self.problem(f"{key} is {value!r}; possible are {', '.join(known)}")
        return value

    def refuse_unless(self, key: str, *allowed: object) -> None:
        """Refuses a value that would mean another computation. None stands for an absent key."""
        if (value := self.base.config.get(key)) not in allowed:
            raise self.problem(f"{key} is {value!r}, which the encoder cannot express")

    def refuse_fractions(self, key: str, value: int, part: int) -> None:
        """Refuses a size that is not so many equal parts."""
        if value % part:
            raise self.problem(f"{key} is {value}, which {part} does not divide")

    def check(self, max_tokens: int) -> None:
        """Refuses quantised weights, and a window that the base or the runtime cannot hold."""
        if self.base.config.get("quantization_config"):
            raise ToolError(
                f"{self.base.path / 'config.json'}: quantization_config says that the weights are "
                "quantised, and training needs floats",
                "take the checkpoint that is not quantised (float32, bfloat16 or float16)",
            )
        longest = self.base.max_tokens
        if not 0 < max_tokens <= longest or max_tokens % WINDOW_STEP_TOKENS:
            raise ToolError(
                f"a window of {max_tokens} tokens does not fit the base {self.base.path.name}",
                f"choose a multiple of {WINDOW_STEP_TOKENS} up to {longest}",
            )

    def check_blocks(self, **products: int) -> None:
        """INT4 blocks run along these axes, so each must be a multiple of a block."""
        for key, value in products.items():
            if value % BLOCK:
                raise self.problem(f"{key} is {value}, which is no multiple of {BLOCK}")

    @cached_property
    def vocabulary(self) -> int:
        """Rows of the word table that the tokenizer can ask for.

        A special token may lie beyond the base's own table, as that for images does in small
        Gemmas: it gets a row of zeros.
        """
        rows = self.size("vocab_size")
        tokenizer = read_tokenizer(self.base.tokenizer)
        added = tokenizer.get_added_tokens_decoder()
        beyond = {i: t for t, i in tokenizer.get_vocab(with_added_tokens=True).items() if i >= rows}
        for i, token in sorted(beyond.items()):
            if i not in added or not added[i].special:
                raise ToolError(
                    f"{self.base.tokenizer}: {token!r} has the id {i}, but the word table ends at "
                    f"{rows - 1}",
                    "copy tokenizer.json, config.json and weights again, all from the same model",
                )
        return max([rows - 1, *beyond]) + 1

    def problem(self, what: str) -> ToolError:
        return ToolError(f"{self.base.path / 'config.json'}: {what}", CHOOSE_ANOTHER)

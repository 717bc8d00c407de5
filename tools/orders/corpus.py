"""Pairs of a message and its work order: held out as written, to learn from in ever new forms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from edge_agent.inference.output_schema import narrow
from tools.corpora import own_messages
from tools.corpus.annotation import Example, read_messages
from tools.corpus.generate import vary
from tools.corpus.pools import Pools
from tools.data import split
from tools.orders.phrases import furnished
from tools.orders.rules import work_order
from tools.writing.pairs import Pair, spelled

HERE = Path(__file__).parent
TASK = HERE / "task.json"
SOURCE = "tools/orders"
SCHEMA = narrow(json.loads(TASK.read_text(encoding="utf-8"))["output_schema"])
ROUTES = ("maintenance", "fault")
"""What a work order is written about. From a share of the other messages is learnt, too."""
OTHER_SHARE = 0.2
FURNISHED_SHARE = 0.15


@dataclass(frozen=True)
class Pass:
    """One pass over the messages, each in a form of its own; made anew whenever it is asked for."""

    examples: list[Example]
    others: list[Example]
    pools: Pools
    seed: str

    def __len__(self) -> int:
        return len(self.examples) + round(OTHER_SHARE * len(self.others))

    def __iter__(self) -> Iterator[Pair]:
        rng = Random(self.seed)
        others = rng.sample(self.others, len(self) - len(self.examples))
        for example in [*self.examples, *others]:
            changed = vary(example, self.pools, rng)
            is_plain = work_order(changed)["due"] is None
            furnish = is_plain and rng.random() < FURNISHED_SHARE
            yield pair_of(furnished(changed, rng) if furnish else changed)


def pair_of(example: Example) -> Pair:
    """The message and its order."""
    return Pair(example.text, spelled(SCHEMA, work_order(example)))


def held_out() -> tuple[list[Example], list[Example], list[Example]]:
    """Messages to learn from, others to learn from, and those of our routes that are held out.

    The line is drawn as for the encoder, so what one model never saw the other did not either.
    """
    corpus_train, corpus_dev = split(own_messages())
    own_train, own_dev = split(read_messages(HERE / "messages"))
    train, dev = [*corpus_train, *own_train], [*corpus_dev, *own_dev]
    ours = [e for e in train if e.route in ROUTES]
    others = [e for e in train if e.route not in ROUTES]
    return ours, others, [e for e in dev if e.route in ROUTES]


def passes(examples: list[Example], others: list[Example], count: int, seed: int) -> list[Pass]:
    """``count`` passes."""
    pools = Pools([*examples, *others])
    return [Pass(examples, others, pools, f"{seed}.{number}") for number in range(count)]

"""``python -m tools.bench.variants FILE BUNDLE...``: what smaller variants cost and save.

Every bundle runs the same messages, turn by turn, one thread; the first is what the others are
compared with. Prints a Markdown table: size, latency of one message, of a batch of 32, accuracy.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.bundle import Bundle, load_bundle
from edge_agent.specialists import EncoderSpecialist, load_specialist
from tools.corpus.annotation import Example
from tools.data import read_jsonl
from tools.evaluation.metrics import score
from tools.evaluation.scope import aligned, heads_of

BATCH_MESSAGES = 32
SINGLES = 100
BATCHES = 10
TURNS = 5
HEAD = (
    "| bundle | MB | one message, p50 ms | batch of 32, ms | ratio, one | ratio, batch "
    "| route | entity F1 | exact |"
)


@dataclass
class Variant:
    """A bundle, and the milliseconds of each turn."""

    bundle: Bundle
    specialist: EncoderSpecialist
    one_ms: list[float] = field(default_factory=list)
    batch_ms: list[float] = field(default_factory=list)

    @property
    def size_mb(self) -> float:
        return sum(len(content) for content in self.bundle.contents.values()) / 1e6

    def take_turn(self, texts: Sequence[str]) -> None:
        """Times single messages, then batches; keeps the medians."""
        singles = [[text] for text in texts[:SINGLES]]
        starts = range(0, min(len(texts), BATCHES * BATCH_MESSAGES), BATCH_MESSAGES)
        batches = [list(texts[i : i + BATCH_MESSAGES]) for i in starts]
        self.one_ms.append(statistics.median(self._ms(texts) for texts in singles))
        self.batch_ms.append(statistics.median(self._ms(texts) for texts in batches))

    def _ms(self, texts: list[str]) -> float:
        began = time.perf_counter()
        self.specialist.predict(texts)
        return 1000 * (time.perf_counter() - began)


def measured(bundles: Sequence[Path], texts: Sequence[str]) -> list[Variant]:
    """The bundles after a warm-up and all turns."""
    variants = []
    for path in bundles:
        bundle = load_bundle(path)
        variants.append(Variant(bundle, load_specialist(bundle, threads=1)))
        variants[-1].specialist.predict(list(texts[:BATCH_MESSAGES]))
    for _ in range(TURNS):
        for variant in variants:
            variant.take_turn(texts)
    return variants


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over the turns, each compared within itself."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def row(variant: Variant, first: Variant, examples: list[Example]) -> str:
    """One line of the table."""
    known = aligned(examples, variant.bundle.manifest)
    predictions = []
    for start in range(0, len(known), BATCH_MESSAGES):
        texts = [example.text for example in known[start : start + BATCH_MESSAGES]]
        predictions += variant.specialist.predict(texts)
    scores = score(known, predictions, heads_of(variant.bundle.manifest))
    shares = (scores.route_accuracy, scores.entity_f1, scores.exact)
    cells = [
        variant.bundle.manifest.name,
        f"{variant.size_mb:.1f}",
        f"{statistics.median(variant.one_ms):.2f}",
        f"{statistics.median(variant.batch_ms):.1f}",
        f"{ratio(variant.one_ms, first.one_ms):.2f}",
        f"{ratio(variant.batch_ms, first.batch_ms):.2f}",
        *("-" if share is None else f"{100 * share:.1f}" for share in shares),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.variants", description=__doc__)
    parser.add_argument("file", type=Path, help="JSON Lines: text, route, entities")
    parser.add_argument("bundle", type=Path, nargs="+", help="the first is the one to compare with")
    options = parser.parse_args()
    examples = read_jsonl(options.file)
    variants = measured(options.bundle, [example.text for example in examples])
    rows = [row(variant, variants[0], examples) for variant in variants]
    print("\n".join([HEAD, "|---|" + "---:|" * 8, *rows]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

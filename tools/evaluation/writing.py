"""A packed bundle that writes, over a file of texts and outputs, with the runtime's own code."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_agent.bundle import Bundle
from edge_agent.generator import GeneratorSpecialist
from edge_agent.inference.output_schema import narrow
from edge_agent.types import Output
from tools.errors import ToolError
from tools.evaluation.fields import WritingScores, fields_of, score_writing
from tools.evaluation.progress import progress_bars
from tools.evaluation.resampling import Measure, draws, interval
from tools.writing.pairs import Pair, read_pairs


@dataclass(frozen=True)
class WritingEvaluation:
    """The scores of a bundle on a file, and how long an answer took."""

    bundle: Bundle
    file: Path
    scores: WritingScores
    f1_interval: tuple[float, float]
    p50_ms: float
    p95_ms: float
    threads: int

    @property
    def name(self) -> str:
        return f"{self.bundle.card.name} {self.bundle.card.version}"

    def as_json(self) -> str:
        """The object of ``--json``."""
        found: dict[str, Any] = {
            "bundle": self.name,
            "digest": self.bundle.digest,
            "file": str(self.file),
            **self.scores.as_dict(),
            "field_f1_interval": [round(value, 4) for value in self.f1_interval],
            "latency": {"p50_ms": round(self.p50_ms, 1), "p95_ms": round(self.p95_ms, 1)},
            "threads": self.threads,
        }
        return json.dumps(found, indent=1, ensure_ascii=False)


def evaluate_writing(bundle: Bundle, file: Path, threads: int) -> WritingEvaluation:
    """Writes about every text of the file. Raises ToolError and BundleError."""
    task = bundle.manifest.task
    schema = narrow(task.output_schema) if task and task.output_schema else None
    pairs = read_pairs(file, schema)
    if schema is None or not pairs:
        raise ToolError(
            f"{file} and the task of {bundle.path} have no fields to compare",
            'the file holds {"text": …, "output": {…}} lines, the task an output_schema',
        )
    outputs, times_ms = _write_all(bundle, pairs, threads)
    p50, p95 = np.percentile(times_ms, (50, 95))
    scores = score_writing(pairs, outputs)
    return WritingEvaluation(
        bundle, file, scores, _f1_interval(pairs, outputs), float(p50), float(p95), threads
    )


def _write_all(
    bundle: Bundle, pairs: Sequence[Pair], threads: int
) -> tuple[list[Output], list[float]]:
    specialist = GeneratorSpecialist(bundle, threads, time.monotonic)
    outputs, times_ms = [], []
    with progress_bars() as bars:
        for pair in bars.track(pairs, description=f"running {bundle.card.name}"):
            start = time.perf_counter()
            outputs.append(specialist.write(pair.text))
            times_ms.append(1000 * (time.perf_counter() - start))
    return outputs, times_ms


def _f1_interval(pairs: Sequence[Pair], outputs: Sequence[Output]) -> tuple[float, float]:
    """Of the F1 of all fields, by bootstrap over the messages."""
    counts = []
    for pair, output in zip(pairs, outputs, strict=True):
        wanted, found = fields_of(pair.output), fields_of(output.value)
        counts.append((2 * (wanted & found).total(), wanted.total() + found.total()))
    right, both = np.array(counts, np.float32).T[:, :, None]
    return interval(draws({"f1": Measure(right, both, both)})["f1"])


def print_writing(found: WritingEvaluation, console: Console) -> None:
    """A table of the fields, and what holds of all."""
    scores = found.scores
    title = f"{found.name} on {found.file}, {scores.messages} messages"
    console.print(f"[bold]{escape(title)}[/]")
    table = Table("field", "precision", "recall", "F1", "wanted")
    for name, one in {**scores.fields, "all": scores.all}.items():
        shares = (f"{100 * share:.1f}" for share in (one.precision, one.recall, one.f1))
        table.add_row(escape(name), *shares, str(one.wanted))
    console.print(table)
    low, high = (100 * value for value in found.f1_interval)
    share = 100 / scores.messages
    whole, right = share * scores.complete, share * scores.exact
    console.print(
        f"F1 of all fields: {100 * scores.all.f1:.1f} ({low:.1f}…{high:.1f}, 95 %)\n"
        f"whole and valid: {whole:.1f} %; all fields right: {right:.1f} %; "
        f"invented spans: {scores.invented}\n"
        f"an answer: p50 {found.p50_ms:.1f} ms, p95 {found.p95_ms:.1f} ms, "
        f"threads: {found.threads}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip

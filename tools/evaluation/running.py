"""A packed bundle run by the runtime's own code, and the time that takes."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import Progress

from edge_agent.bundle import Bundle, load_bundle
from edge_agent.specialists import EncoderSpecialist, load_specialist
from edge_agent.types import Prediction
from tools.errors import ToolError

BATCH_MESSAGES = 16
SINGLE_MESSAGES = 200


@dataclass(frozen=True)
class Speed:
    """Latency of messages one at a time, and throughput in batches of 16."""

    p50_ms: float
    p95_ms: float
    messages_per_s: float

    def as_dict(self) -> dict[str, float]:
        return {name: round(value, 2) for name, value in vars(self).items()}


@dataclass(frozen=True)
class Run:
    """A verified bundle and its prediction of each text."""

    bundle: Bundle
    predictions: list[Prediction]
    speed: Speed

    @property
    def name(self) -> str:
        return f"{self.bundle.card.name} {self.bundle.card.version}"

    @property
    def size_bytes(self) -> int:
        return sum(len(content) for content in self.bundle.contents.values())


def read_bundle(path: Path) -> Bundle:
    """``load_bundle``; what is not there is said in words of the tools. Raises ToolError too."""
    named = shlex.quote(str(path))
    if path.is_file():
        raise ToolError(f"bundle {path}: is a file", f"unpack it, if packed: tar -xf {named}")
    if not path.is_dir():
        raise ToolError(
            f"bundle {path}: no such folder", f"python -m tools train --data DIR --out {named}"
        )
    return load_bundle(path)


def run_bundle(bundle: Bundle, texts: Sequence[str], threads: int, bars: Progress) -> Run:
    """Every text in batches, then up to 200 of them alone, evenly spread. Raises BundleError."""
    specialist = load_specialist(bundle, threads=threads)
    predictions, seconds = predict_all(specialist, texts, bars)
    p50, p95 = _alone_ms(specialist, texts, bars)
    return Run(bundle, predictions, Speed(p50, p95, len(texts) / seconds))


def predict_all(
    specialist: EncoderSpecialist, texts: Sequence[str], bars: Progress
) -> tuple[list[Prediction], float]:
    """One prediction a text, and the seconds all took."""
    task = bars.add_task(f"running {specialist.card.name}", total=len(texts))
    predictions: list[Prediction] = []
    start = time.perf_counter()
    for first in range(0, len(texts), BATCH_MESSAGES):
        predictions += specialist.predict(list(texts[first : first + BATCH_MESSAGES]))
        bars.update(task, completed=len(predictions))
    return predictions, time.perf_counter() - start


def _alone_ms(
    specialist: EncoderSpecialist, texts: Sequence[str], bars: Progress
) -> tuple[float, float]:
    """Median and 95th percentile of the latency."""
    chosen = [texts[i] for i in _spread(len(texts))]
    times_ms = []
    for text in bars.track(chosen, description="timing one at a time"):
        start = time.perf_counter()
        specialist.predict([text])
        times_ms.append(1000 * (time.perf_counter() - start))
    p50, p95 = np.percentile(times_ms, (50, 95))
    return float(p50), float(p95)


def _spread(messages: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, messages - 1, SINGLE_MESSAGES)})

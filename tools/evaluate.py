"""Runs a packed bundle through the runtime's own code over a labelled file, and scores it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from edge_agent.bundle import load_bundle
from edge_agent.specialists import load_specialist
from edge_agent.types import Prediction
from tools.corpus.annotation import Example
from tools.data import read_jsonl
from tools.metrics import score

BATCH_MESSAGES = 16


def evaluate(bundle: Path, file: Path, threads: int = 1) -> dict[str, object]:
    """Scores and timing as a JSON object. Raises ToolError and BundleError."""
    examples = read_jsonl(file)
    loaded = load_bundle(bundle)
    specialist = load_specialist(loaded, threads=threads)
    predictions, seconds = timed(specialist, examples)
    return {
        "bundle": f"{loaded.card.name} {loaded.card.version}",
        "digest": loaded.digest,
        "file": str(file),
        **score(examples, predictions).as_dict(),
        "ms_per_message": round(1000 * seconds / len(examples), 2),
        "threads": threads,
    }


def timed(specialist: object, examples: list[Example]) -> tuple[list[Prediction], float]:
    """Predictions in batches of 16, and the seconds they took."""
    predictions: list[Prediction] = []
    start = time.perf_counter()
    for first in range(0, len(examples), BATCH_MESSAGES):
        texts = [e.text for e in examples[first : first + BATCH_MESSAGES]]
        predictions += specialist.predict(texts)
    return predictions, time.perf_counter() - start


def as_json(report: dict[str, object]) -> str:
    return json.dumps(report, indent=1, ensure_ascii=False)

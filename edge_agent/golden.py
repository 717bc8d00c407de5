"""``golden.jsonl``: messages with the answers the bundle gave where it was made.

Decisions must be equal. Confidences may differ a little: processors round differently.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from edge_agent.bundle import Bundle
from edge_agent.errors import BundleError, InferenceFailed
from edge_agent.generator import GeneratorSpecialist, load_writer
from edge_agent.manifest import GOLDEN
from edge_agent.specialists import Specialist, load_specialist
from edge_agent.types import Output, Prediction

Answered = TypeVar("Answered", Prediction, Output)
CONFIDENCE_TOLERANCE = 0.05
SHOWN_DIFFERENCES = 5


def proof(bundle: Bundle, threads: int | None = None) -> str:
    """Loads a bundle and gives it its golden messages; what it did, for people. BundleError."""
    if bundle.manifest.kind == "generator":
        count, done = check_written(bundle, load_writer(bundle, threads)), "written about"
    else:
        count, done = check_golden(bundle, load_specialist(bundle, threads)), "answered alike"
    return f"{count} golden messages {done}" if count else "no golden messages"


def check_golden(bundle: Bundle, specialist: Specialist) -> int:
    """Lets the runtime answer the golden messages again; how many. Raises BundleError."""

    def answered(text: str) -> Prediction:
        """One message a run: other threads and little memory must do meanwhile."""
        return specialist.predict([text])[0]

    fix = "compare the versions of onnxruntime here and where it was trained, or train it again"
    return _check(bundle, answered, differences, fix)


def check_written(bundle: Bundle, specialist: GeneratorSpecialist) -> int:
    """Lets the runtime write about the golden messages again; how many. Raises BundleError.

    Each must be written about in full. Processors round differently, so what is written may differ.
    """

    def unfinished(item: dict[str, Any], output: Output) -> Iterator[str]:
        if not output.complete:
            yield f"{item['text']!r}: no whole output: {output.end.value}"

    return _check(bundle, specialist.write, unfinished, more_room(bundle))


def more_room(bundle: Bundle) -> str:
    """The fix where a bundle that writes comes to no end."""
    return (
        f"raise task.max_output_tokens or task.max_time_ms of {bundle.path}: "
        "python -m tools give-task"
    )


def _check(
    bundle: Bundle,
    answer: Callable[[str], Answered],
    compare: Callable[[dict[str, Any], Answered], Iterator[str]],
    fix: str,
) -> int:
    items = _items(bundle)
    found: list[str] = []
    for item in items:
        try:
            answered = answer(item["text"])
        except InferenceFailed as error:
            problem = f"bundle {bundle.path}: {GOLDEN}: {error.problem}"
            raise BundleError(problem, error.fix) from error
        with _readable(bundle):
            found += compare(item, answered)
    if found:
        more = len(found) - SHOWN_DIFFERENCES
        shown = "\n  ".join(found[:SHOWN_DIFFERENCES] + ([f"and {more} more"] if more > 0 else []))
        raise BundleError(
            f"bundle {bundle.path} does not answer as {GOLDEN} has it:\n  {shown}", fix
        )
    return len(items)


def _items(bundle: Bundle) -> list[dict[str, Any]]:
    with _readable(bundle):
        lines = bundle.contents.get(GOLDEN, b"").splitlines()
        items = [json.loads(line) for line in lines if line.strip()]
        for item in items:
            str.encode(item["text"])  # half of a surrogate pair is no text, nor is a number
        return items


@contextmanager
def _readable(bundle: Bundle) -> Iterator[None]:
    """Around what looks at the lines, and never at the model: its bugs are no bad lines."""
    try:
        yield
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(
            f"bundle {bundle.path}: {GOLDEN} cannot be read ({error!r})",
            "train the bundle again, or copy it again from where it came",
        ) from error


def differences(item: dict[str, Any], prediction: Prediction) -> Iterator[str]:
    """In what a prediction differs from its golden line. KeyError and TypeError: no golden line."""
    text, expected, found = item["text"], item["route"], prediction.route
    if (expected is None) != (found is None):
        yield f"{text!r}: a route, where there was none, or none where there was one"
    if expected is not None and found is not None:
        one = (expected["label"], expected["abstained"])
        if one != route_decision(prediction):
            yield f"{text!r}: route {route_decision(prediction)}, recorded {one}"
        elif abs(found.confidence - expected["confidence"]) > CONFIDENCE_TOLERANCE:
            yield f"{text!r}: confidence {found.confidence}, recorded {expected['confidence']}"
    spans = sorted((e["start"], e["end"], e["label"]) for e in item["entities"])
    if spans != entity_decisions(prediction):
        yield f"{text!r}: entities {entity_decisions(prediction)}, recorded {spans}"


def route_decision(prediction: Prediction) -> tuple[str, bool] | None:
    """What of the route is a decision: the label, and whether it abstained."""
    route = prediction.route
    return (route.label, route.abstained) if route else None


def entity_decisions(prediction: Prediction) -> list[tuple[int, int, str]]:
    """What of the entities is a decision: spans and labels."""
    return sorted((e.start, e.end, e.label) for e in prediction.entities)

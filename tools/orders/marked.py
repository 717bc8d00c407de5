"""Work orders by the entities that an encoder finds, put through the rules of the corpus."""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.bundle import Bundle
from edge_agent.specialists import load_specialist
from edge_agent.types import End, Output
from tools.corpus.annotation import Example, Span
from tools.orders.rules import work_order

BATCH_MESSAGES = 16


def orders_of(bundle: Bundle, examples: Sequence[Example], threads: int = 1) -> list[Output]:
    """One for each message; of the examples only text and route are looked at."""
    specialist, found = load_specialist(bundle, threads), []
    for start in range(0, len(examples), BATCH_MESSAGES):
        batch = examples[start : start + BATCH_MESSAGES]
        predictions = specialist.predict([example.text for example in batch])
        for example, prediction in zip(batch, predictions, strict=True):
            spans = tuple(Span(e.start, e.end, e.label) for e in prediction.entities)
            value = work_order(Example(example.text, example.route, spans))
            found.append(Output(End.COMPLETE, bundle.card, value))
    return found

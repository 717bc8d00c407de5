"""Messages that a specialist writes about, after their route or on request. Knows no brokers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_agent.acks import Entry
from edge_agent.errors import PoisonMessage, RejectedMessage
from edge_agent.generating import GenerationQueue, Order, Refusal
from edge_agent.generator import GeneratorSpecialist
from edge_agent.log import LOGGER
from edge_agent.results import Results
from edge_agent.types import Answer, End, Message, Output, Prediction, Timing

NOTHING = Prediction(None, ())


@dataclass(frozen=True)
class Routed:
    """A message whose event waits for its output."""

    message: Message
    answer: Answer
    timing: Timing
    entry: Entry


@dataclass
class SecondStage:
    """``results`` takes each message once, with whatever was written by its time."""

    results: Results
    queue: GenerationQueue

    def __len__(self) -> int:
        return len(self.queue)

    def follow(self, routed: Routed, specialist: GeneratorSpecialist) -> None:
        """Writes about a message that has its route. Its event goes out in any case."""

        def conclude(found: Output | RejectedMessage) -> None:
            output = found if isinstance(found, Output) else _nothing(found, specialist)
            self._count(output)
            answer = replace(routed.answer, output=output)
            self.results.conclude(routed.message, answer, routed.timing, routed.entry)

        message = routed.message
        self.queue.add(Order(message.id, message.text, specialist, conclude))

    def answer(
        self, message: Message, entry: Entry, specialist: GeneratorSpecialist, refusal: Refusal
    ) -> None:
        """Writes for a ``generate`` request, unless by its turn nobody waits for it any more."""

        def conclude(found: Output | RejectedMessage) -> None:
            if isinstance(found, RejectedMessage):
                self.results.conclude(message, found, Timing(), entry)
                return
            self._count(found)
            answer = Answer(NOTHING, specialist.card, found)
            self.results.conclude(message, answer, Timing(), entry)

        self.queue.add(Order(message.id, message.text, specialist, conclude, refusal))

    def run_slice(self) -> None:
        """Writes for a while, if anything waits."""
        self.queue.run_slice()

    def _count(self, output: Output) -> None:
        self.results.metrics.count(f"outputs_{output.end.value}")


def _nothing(error: RejectedMessage, specialist: GeneratorSpecialist) -> Output:
    """The log says why; the event only that."""
    LOGGER("edge_agent").warning("nothing written", bundle=specialist.card.name, **error.fields)
    end = End.POISON if isinstance(error, PoisonMessage) else End.FAILED
    return Output(end, specialist.card)

"""Batches through the model, with the troublesome ones apart. Knows nothing of brokers.

A message that was there at a crash runs alone, so that the next crash names it; one that was
there at two is not run again. When a batch fails, each of its messages is tried on its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.crashes import CrashRecord
from edge_agent.errors import ExpiredMessage, InferenceFailed, PoisonMessage, RejectedMessage
from edge_agent.specialists import EncoderSpecialist
from edge_agent.types import Message, Prediction

Result = Prediction | RejectedMessage


@dataclass(frozen=True)
class Runner:
    """See the module."""

    specialist: EncoderSpecialist
    crashes: CrashRecord
    deadline_s: float

    def refusal(self, message: Message, now_s: float) -> RejectedMessage | None:
        """Why the model should not see this message (any more)."""
        limit_s, expiry_s = self.deadline_s, message.delivery.expiry_s
        if expiry_s is not None:
            limit_s = min(limit_s, expiry_s)
        if now_s - message.delivery.received_s > limit_s:
            return ExpiredMessage(
                f"the message waited longer than {limit_s:g} s",
                "send with a longer expiry, raise limits.deadline_s, or send less",
            )
        if self.crashes.is_poison(message.id):
            return PoisonMessage(
                "the agent crashed twice while it worked on this message",
                "report it with its payload and the bundle's name; see crash.txt in runtime_dir",
            )
        return None

    def groups(self, messages: list[Message]) -> list[list[Message]]:
        """The messages as they should run: together, or each alone when one is suspect."""
        if any(self.crashes.is_suspect(message.id) for message in messages):
            return [[message] for message in messages]
        return [messages] if messages else []

    def run(self, messages: list[Message]) -> list[Result]:
        """One result a message, in order."""
        with self.crashes.working_on([message.id for message in messages]):
            results = self._predict([message.text for message in messages])
        for message in messages:
            self.crashes.forgive(message.id)
        return results

    def _predict(self, texts: list[str]) -> list[Result]:
        try:
            return list(self.specialist.predict(texts))
        except InferenceFailed as error:
            if len(texts) == 1:
                return [error]
            return [result for text in texts for result in self._predict([text])]

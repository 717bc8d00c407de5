"""Batches through the models, with the troublesome ones apart. Knows nothing of brokers.

A message that was there at a crash runs alone, so that the next crash names it; one that was
there at two is not run again. When a batch fails, each of its messages is tried on its own.

A challenger's run is noted under its bundle, not under its messages: what it crashes on is not held
against them, and after a crash it is left out. What it fails on, the champion answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.crashes import ID_BYTES, CrashRecord
from edge_agent.errors import ExpiredMessage, InferenceFailed, PoisonMessage, RejectedMessage
from edge_agent.fleet import Fleet
from edge_agent.specialists import Specialist
from edge_agent.types import Answer, Message, ModelCard

Result = Answer | RejectedMessage
Group = tuple[Specialist, list[Message]]


@dataclass(frozen=True)
class Runner:
    """See the module."""

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

    def groups(self, fleet: Fleet, messages: list[Message]) -> list[Group]:
        """The messages as they should run: together, or each alone when one is suspect."""
        groups: list[Group] = []
        apart = any(self.crashes.is_suspect(message.id) for message in messages)
        for specialist in fleet.specialists:
            own = [message for message in messages if fleet.serving(message.id) is specialist]
            parts = [[message] for message in own] if apart else [own]
            groups += [(specialist, part) for part in parts if part]
        return groups

    def run(self, fleet: Fleet, group: Group) -> list[Result]:
        """One result a message, in order."""
        specialist, messages = group
        on_trial = specialist is not fleet.champion
        noted = [mark(specialist.card)] if on_trial else [message.id for message in messages]
        with self.crashes.working_on(noted):
            results = _predict(specialist, [message.text for message in messages])
        if on_trial:
            return self._mended(fleet, messages, results)
        for message in messages:
            self.crashes.forgive(message.id)
        return results

    def is_benched(self, card: ModelCard) -> bool:
        """Whether the process crashed while this bundle was on trial."""
        return self.crashes.is_suspect(mark(card))

    def _mended(self, fleet: Fleet, messages: list[Message], results: list[Result]) -> list[Result]:
        failed = [i for i, result in enumerate(results) if isinstance(result, RejectedMessage)]
        if failed:
            again = self.run(fleet, (fleet.champion, [messages[i] for i in failed]))
            for i, result in zip(failed, again, strict=True):
                results[i] = result
        return results


def mark(card: ModelCard) -> str:
    """Under which a bundle on trial is noted in the record of crashes."""
    return card.digest[:ID_BYTES]


def _predict(specialist: Specialist, texts: list[str]) -> list[Result]:
    try:
        return [Answer(found, specialist.card) for found in specialist.predict(texts)]
    except InferenceFailed as error:
        if len(texts) == 1:
            return [error]
        return [result for text in texts for result in _predict(specialist, [text])]

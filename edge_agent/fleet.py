"""Which specialist answers which message. Immutable: a reload puts a new Fleet in its place.

A champion answers. A challenger on trial answers a share of the messages (canary), or only looks
at that share after the champion has answered (shadow). The share is chosen by the message's id, so
that a redelivery meets the same specialist. Writers write about messages that have their route.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edge_agent.generator import GeneratorSpecialist
from edge_agent.specialists import Specialist
from edge_agent.types import ModelCard, Prediction, TrialMode


@dataclass(frozen=True)
class Trial:
    """A challenger, and which share (0 to 1) of the messages it gets to see."""

    challenger: Specialist
    mode: TrialMode
    share: float


@dataclass(frozen=True)
class Fleet:
    """See the module. ``writers`` by name; ``stages`` names the one that follows each route."""

    champion: Specialist
    trial: Trial | None = None
    writers: Mapping[str, GeneratorSpecialist] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)

    @property
    def card(self) -> ModelCard:
        """Names the champion's bundle."""
        return self.champion.card

    @property
    def specialists(self) -> tuple[Specialist, ...]:
        """Everyone in it once, the champion first."""
        if self.trial is None or self.trial.challenger is self.champion:
            return (self.champion,)
        return (self.champion, self.trial.challenger)

    def serving(self, message_id: str) -> Specialist:
        """Who answers this message."""
        trial = self.trial
        if trial and trial.mode == "canary" and sampled(message_id, trial.share):
            return trial.challenger
        return self.champion

    def follower(self, prediction: Prediction) -> GeneratorSpecialist | None:
        """Who writes about a message after it has its route; abstained, it has none."""
        route = prediction.route
        name = self.stages.get(route.label) if route else None
        return self.writers[name] if name else None

    def shadows(self, message_id: str) -> bool:
        """Whether the challenger looks at this message once the champion has answered it."""
        trial = self.trial
        return bool(trial and trial.mode == "shadow" and sampled(message_id, trial.share))

    def without_trial(self) -> Fleet:
        """The champion alone."""
        return replace(self, trial=None)


def sampled(message_id: str, share: float) -> bool:
    """Whether an id belongs to a share of all: always the same answer for the same id."""
    return zlib.crc32(message_id.encode()) < share * 2**32

"""The simulated site: a plant that lives, and what machines and people say of it, on MQTT topics.

The same seed and the same clock give the same messages. What a message is meant to be (``about``)
never leaves this process: the agent sees topic and payload only.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from edge_agent.demo import machines, people
from edge_agent.demo.machines import Line
from edge_agent.demo.plant import Plant

TOPIC = "site"
PAUSE_S = 0.4
LINES: dict[str, tuple[Line, ...]] = {
    "alarm": machines.ALARM + people.ALARM,
    "security": machines.SECURITY + people.SECURITY,
    "connectivity": machines.CONNECTIVITY + people.CONNECTIVITY,
    "fault": machines.FAULT + people.FAULT,
    "maintenance": people.MAINTENANCE,
    "command": people.COMMAND,
    "question": people.QUESTION,
    "reading": machines.READING + people.READING,
    "other": people.OTHER,
}
HAND = ("reading", "reading", "reading", "connectivity", "fault", *LINES)
"""What is said in one round, in any order: a bit of everything, mostly routine."""


@dataclass(frozen=True)
class SiteMessage:
    """A message to publish, and the pause before the next."""

    topic: str
    payload: str
    about: str
    pause_s: float


class Site:
    """See the module."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - a plant, not a secret
        self._plant = Plant(self._rng)
        self._topics = self._rounds()
        self._unsaid = {about: self._shuffled(about) for about in LINES}

    def next(self, now: datetime) -> SiteMessage:
        """The plant moves on, and somebody says something of it."""
        self._plant.step()
        about = next(self._topics)
        line = next(self._unsaid[about])
        if line.upset == "mend":
            self._plant.mend()
        elif line.upset:
            self._plant.upset(line.upset)
        words = self._words(line, now)
        topic = f"{TOPIC}/{line.topic.format(**words)}".lower()
        pause_s = PAUSE_S * self._rng.uniform(0.5, 1.5)
        return SiteMessage(topic, line.text.format(**words), about, pause_s)

    def _rounds(self) -> Iterator[str]:
        while True:
            yield from self._rng.sample(HAND, len(HAND))

    def _shuffled(self, about: str) -> Iterator[Line]:
        """Every line once before any comes again."""
        while True:
            yield from self._rng.sample(LINES[about], len(LINES[about]))

    def _words(self, line: Line, now: datetime) -> dict[str, object]:
        """What a line can name: of each kind one (where it upsets, the upset one), and the time."""
        plant, rng = self._plant, self._rng
        which = 0 if line.upset else rng.randrange(2)
        return {
            "pump": plant.pumps[which],
            "tank": plant.tanks[which],
            "belt": plant.belts[which],
            "air": plant.air[which],
            "solar": plant.solar,
            "gateway": plant.gateway,
            "host": plant.gateway.host,
            "cold_room_c": plant.cold_room_c,
            "small": rng.randint(4, 48),
            "number": rng.randint(1100, 9800),
            "clock": f"{now:%H:%M}",
            "iso": now.isoformat(timespec="milliseconds"),
            "syslog": f"{now:%b} {now.day:2} {now:%H:%M:%S}",
            "clf": f"{now:%d/%b/%Y:%H:%M:%S %z}",
        }

"""The agent on the loopback transport, driven step by step on a clock that nobody waits for."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_agent.agent import Agent
from edge_agent.config import Config
from edge_agent.crashes import CrashRecord
from edge_agent.errors import BrokerUnavailable
from edge_agent.fleet import Fleet
from edge_agent.loading import supply_of
from edge_agent.presence import Presence
from edge_agent.reload import Supply
from edge_agent.settings import load_config
from edge_agent.specialists import EncoderSpecialist, Specialist
from edge_agent.surroundings import Clock, Surroundings
from edge_agent.systemd import Notifier
from edge_agent.transport.base import Inbox, Signal, Stop
from edge_agent.transport.loopback import LoopbackBroker, LoopbackTransport
from edge_agent.types import Prediction
from tests.support.agent_process import write_config
from tests.unit.samples import delivery

Step = Callable[[], Any]
TURNS = 10_000
"""More turns of the loop than any script takes: a loop that never rests is found out."""


class ScriptedInbox(Inbox):
    """Has the next signal at once; where the agent would wait, the script goes on or time does."""

    def __init__(self, site: Site) -> None:
        limits = site.config.limits
        super().__init__(limits.max_lossy_messages, limits.max_unacked_bytes)
        self._site = site
        self.turns = 0

    def get(self, timeout_s: float) -> Signal | None:
        self.turns += 1
        assert self.turns < TURNS, "the loop never rests"
        signal = super().get(0)
        if signal is None and timeout_s > 0:
            self._site.pause(timeout_s)
            signal = super().get(0)
        return signal


class Site:
    """One broker and, one after the other, agents on it. Settings are given by section."""

    def __init__(self, folder: Path, bundle: Path, **sections: Any) -> None:
        self.folder = folder
        path = write_config(folder / "edge-agent.toml", 1883, bundle, **sections)
        self.config: Config = load_config(path, [])
        self.now_s = 1000.0
        self.broker = LoopbackBroker(now_s=lambda: self.now_s)
        self.steps: deque[Step] = deque()
        self.supply: Supply = supply_of(self.config)
        self.watchdog_s: float | None = None

    @property
    def specialist(self) -> Any:
        """The champion."""
        return self.supply.fleet.champion

    def run(self, *steps: Step) -> Agent:
        """An agent's whole life: whenever it rests, the next step; after the last, a stop."""
        self.steps, self.stopping = deque(steps), False
        crashes = CrashRecord(self.folder / "run")
        presence = Presence(self.folder / "run")
        self.transport = LoopbackTransport(self.broker)
        surroundings = Surroundings(
            state_dir=self.folder / "state",
            crashes=crashes,
            presence=presence,
            notifier=Notifier(),
            clock=Clock(lambda: self.now_s, lambda: self.now_s),
            watchdog_s=self.watchdog_s,
        )
        self.agent = agent = Agent(self.config, self.supply, self.transport, surroundings)
        self.inbox = agent.inbox = ScriptedInbox(self)
        try:
            agent.run()
        finally:
            self.broker.client = None
            crashes.close()
            presence.close()
        return agent

    def pause(self, timeout_s: float) -> None:
        """The agent waits at most so long."""
        if self.steps:
            self.steps.popleft()()
        else:
            self.now_s += timeout_s
            if not self.stopping:
                self.stop()

    def stop(self) -> None:
        """SIGTERM."""
        self.stopping = True
        self.inbox.put(Stop("SIGTERM"))

    def cut(self) -> None:
        """The network breaks and mends."""
        self.transport.reconnect(BrokerUnavailable("the connection broke", "wait"))

    def wait(self, seconds: float) -> Step:
        """A step: time passes."""

        def step() -> None:
            self.now_s += seconds

        return step

    def send(self, *payloads: bytes | str, topic: str = "site/a", **changes: Any) -> Step:
        """A step: somebody publishes these."""

        def step() -> None:
            for payload in payloads:
                self.broker.send(delivery(payload, topic=topic, **changes))

        return step

    def said(self, kind: str) -> list[dict[str, Any]]:
        """The payloads on all topics that begin so, below our prefix."""
        topics = f"edge/t/{kind}"
        return [json.loads(p.payload) for p in self.broker.published if p.topic.startswith(topics)]

    @property
    def events(self) -> list[str]:
        """The text of each event, in order."""
        return [event["data"]["text"] for event in self.said("event")]

    @property
    def acked(self) -> list[str]:
        """The payload of each delivery acknowledged, in order."""
        return [one.payload.decode(errors="replace") for one in self.broker.acked]

    @property
    def codes(self) -> list[str]:
        """The code of each dead letter, in order."""
        return [letter["code"] for letter in self.said("error")]


class Watched(EncoderSpecialist):
    """A specialist that notes what it is asked, and fails on some words as told."""

    def __init__(self, inner: Specialist, **failures: Exception) -> None:
        self.__dict__.update(vars(inner))
        self.asked: list[list[str]] = []
        self.failures = failures

    def predict(self, texts: list[str]) -> list[Prediction]:
        self.asked.append(texts)
        for word, error in self.failures.items():
            if any(word in text for text in texts):
                raise error
        return super().predict(texts)


def watched(site: Site, **failures: Exception) -> Watched:
    specialist = Watched(site.supply.fleet.champion, **failures)
    site.supply = replace(site.supply, fleet=Fleet(specialist))
    return specialist


def health(site: Site) -> dict[str, Any]:
    """The latest."""
    return site.said("health")[-1]

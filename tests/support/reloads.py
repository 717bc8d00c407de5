"""Reloads of good and bad bundles while messages flow, and what they leave behind.

Shared by the tests and by `make soak`.
"""

from __future__ import annotations

import itertools
import os
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.presence import reload_since
from tests.support.agent_process import AgentProcess, write_config
from tests.support.keys import make_key, sign_bundle
from tests.support.mqtt_client import Received
from tests.support.reliability import Traffic
from tests.support.versions import damage, make_huge, make_version, misrecord, point
from tests.support.waiting import wait_until

SHARE = 20
RELOAD_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Kind:
    """A bundle to reload, what must come of it, and what its problem must say."""

    name: str
    outcome: str
    problem: str = ""
    spoil: Callable[[Path], Path] = lambda path: path
    signed: bool = True


KINDS = (
    Kind("one", "changed"),
    Kind("damaged", "failed", "is damaged", damage),
    Kind("misrecorded", "failed", "does not answer as", misrecord),
    Kind("huge", "failed", "MiB are to be had", make_huge),
    Kind("unsigned", "failed", "not signed", signed=False),
    Kind("two", "changed"),
)
"""In turn: each good one is another than the good one before."""


@dataclass
class Shelf:
    """All kinds side by side in a folder, and a link to the one in use."""

    folder: Path
    source: Path
    current: Path = field(init=False)
    public_key: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.current = self.folder / "current"
        private, self.public_key = make_key(self.folder)
        for kind in KINDS:
            path = kind.spoil(make_version(self.source, self.folder / kind.name, kind.name))
            if kind.signed:
                sign_bundle(path, private)
        self.current.symlink_to(self.folder / "two")

    def agent(self, folder: Path, port: int) -> AgentProcess:
        """An agent that takes only what is signed, and reloads only when asked."""
        folder.mkdir(parents=True)
        model = {"public_key_file": str(self.public_key)}
        path = folder / "edge-agent.toml"
        config = write_config(path, port, self.current, model=model, reload={"watch_s": 0})
        return AgentProcess(config)


@dataclass
class ReloadRun:
    """Reloads one kind after the other while messages flow; samples memory between them."""

    traffic: Traffic
    agent: AgentProcess
    shelf: Shelf
    in_flight: int = 0
    rss_mib: list[float] = field(default_factory=list)

    def run(self, times: int) -> None:
        """AssertionError when a reload does not end as its kind must."""
        self.traffic.send(SHARE)
        self.traffic.wait_until_unanswered(0)
        for kind in itertools.islice(itertools.cycle(KINDS), times):
            self._reload(kind)
            self.rss_mib.append(self.agent.rss_mib)
        self.traffic.wait_until_unanswered(0)

    def growth_mib(self, window: int) -> float:
        """Memory after the last ``window`` reloads above that after the first ones.

        The usual or the most, whichever grew more: a leak raises both. Messages are in work, and a
        sample may fall into a batch.
        """
        first, last = self.rss_mib[:window], self.rss_mib[-window:]
        return max(measure(last) - measure(first) for measure in (statistics.median, max))

    def _reload(self, kind: Kind) -> None:
        point(self.shelf.current, self.shelf.folder / kind.name)
        self.traffic.send(SHARE)
        self.in_flight += self.traffic.unanswered > 0
        began_s = time.monotonic()
        os.kill(self.agent.pid, signal.SIGHUP)
        told = wait_until(lambda: self._told(began_s), RELOAD_TIMEOUT_S, f"reload of {kind.name}")
        assert told["outcome"] == kind.outcome, told
        assert kind.problem in told.get("problem", ""), told
        expected = kind.name if kind.outcome == "changed" else self._good_before(kind)
        assert told["model"]["version"] == expected, told
        self._answered_by(expected)

    def _answered_by(self, version: str) -> None:
        """It answers: not all was done before it came, nor is it gone before anything is."""
        collector = self.traffic.collector
        begin = collector.count
        self.traffic.send(SHARE)
        collector.wait(lambda: version in _named(collector.since(begin)), what=f"word of {version}")

    def _told(self, began_s: float) -> dict[str, dict[str, str]] | None:
        if self.traffic.unanswered < SHARE:
            self.traffic.send(SHARE)
        return reload_since(self.agent.config.parent / "run", began_s)

    def _good_before(self, kind: Kind) -> str:
        before = KINDS[: KINDS.index(kind)]
        return next((k.name for k in reversed(before) if k.outcome == "changed"), KINDS[-1].name)

    def versions(self) -> list[str]:
        """The versions named by the events seen, without repetitions in a row."""
        named = _named(self.traffic.collector.received)
        return [version for version, _ in itertools.groupby(named)]


def _named(messages: list[Received]) -> list[str]:
    """The versions that events name."""
    return [m.json["data"]["model"]["version"] for m in messages if "/event/" in m.topic]

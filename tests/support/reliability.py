"""Numbered messages in, events out, and the verdict on what lies between.

Shared by the kill tests and by `make soak`.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.agent_process import AgentProcess, write_config
from tests.support.broker import Broker
from tests.support.mqtt_client import ClientOptions, MqttClient, Received

TOPIC = "site/line/1"
DRAIN_TIMEOUT_S = 120.0
WINDOW = 20
LONGEST_START_S = 1.0
QUIET_S = 5.0


@dataclass(frozen=True)
class Record:
    """One result seen: its id and the number of the message it is about."""

    id: str
    number: int
    dead_letter: bool = False


@dataclass(frozen=True)
class Verdict:
    """What became of the messages sent. Numbers of messages, except ``shared_ids``."""

    sent: int
    events: int
    dead_letters: int
    duplicates: int
    lost: list[int]
    renamed: list[int]
    shared_ids: list[str]
    late: list[int]

    def require(self) -> None:
        """AssertionError unless nothing was lost and all copies are known as such."""
        problems = {
            "lost": self.lost,
            "duplicates with another id": self.renamed,
            "ids of several messages": self.shared_ids,
            "first seen after a later one": self.late,
        }
        found = {name: (len(items), items[:10]) for name, items in problems.items() if items}
        assert not found, f"{found} in {self}"
        assert self.dead_letters == 0, f"{self.dead_letters} dead letters"


def judge(
    sent: Sequence[int], records: Iterable[Record], sent_twice: Iterable[int] = ()
) -> Verdict:
    """Compares what was sent, in order, with what was seen, in order.

    ``sent_twice``: messages the sender itself repeated, because a broker died before its PUBACK;
    these are two deliveries, and may have two ids.
    """
    ids: dict[int, list[str]] = defaultdict(list)
    owners: dict[str, set[int]] = defaultdict(set)
    first_seen: list[int] = []
    dead_letters = events = 0
    for record in records:
        if record.number not in ids:
            first_seen.append(record.number)
        ids[record.number].append(record.id)
        owners[record.id].add(record.number)
        dead_letters += record.dead_letter
        events += not record.dead_letter
    position = {number: i for i, number in enumerate(sent)}
    allowed = set(sent_twice)
    return Verdict(
        sent=len(sent),
        events=events,
        dead_letters=dead_letters,
        duplicates=events + dead_letters - len(ids),
        lost=[number for number in sent if number not in ids],
        renamed=[n for n, seen in ids.items() if len(set(seen)) > 1 + (n in allowed)],
        shared_ids=[name for name, numbers in owners.items() if len(numbers) > 1],
        late=_late([position[number] for number in first_seen]),
    )


def _late(positions: Sequence[int]) -> list[int]:
    """Positions that come after a greater one."""
    late: list[int] = []
    highest = -1
    for position in positions:
        if position < highest:
            late.append(position)
        highest = max(highest, position)
    return late


@dataclass
class Traffic:
    """Sends numbered messages to a broker and collects what the agent makes of them."""

    broker: Broker
    sender_port: int | None = None
    """Where the sender connects, when not straight to the broker."""
    sent: list[int] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    _records: list[Record] = field(default_factory=list)
    _read: int = 0
    _digests: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Traffic:
        options = ClientOptions("collector", persistent=True, window=1000)
        self.collector = MqttClient(self.broker.port, options).__enter__()
        self.collector.subscribe("edge/+/event/+", "edge/+/error", "edge/+/state")
        sender = ClientOptions("sender", persistent=True, window=WINDOW)
        self.sender = MqttClient(self.sender_port or self.broker.port, sender).__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.sender.__exit__()
        self.collector.__exit__()

    def send(self, count: int) -> None:
        """Sends the next messages; paho keeps their order and at most WINDOW without PUBACK."""
        for _ in range(count):
            number = len(self.sent)
            text = f"message {number} pump 7 is leaking today"
            self._digests[hashlib.sha256(text.encode()).hexdigest()] = number
            self.sent.append(number)
            self.sender.send(TOPIC, text)

    def records(self) -> list[Record]:
        """All results so far, in arrival order."""
        fresh = self.collector.since(self._read)
        self._read += len(fresh)
        for message in fresh:
            if not message.topic.endswith("/state"):
                self._records.append(self._record(message))
                self.seen.add(self._records[-1].number)
        return self._records

    @property
    def results(self) -> int:
        """How many events and dead letters have come, copies included."""
        return len(self.records())

    @property
    def unanswered(self) -> int:
        """How many messages have neither event nor dead letter yet."""
        self.records()
        return len(self.sent) - len(self.seen)

    def wait_until_unanswered(self, at_most: int, timeout_s: float = DRAIN_TIMEOUT_S) -> None:
        """Until only so many messages lack a result."""
        what = f"{len(self.sent) - at_most} results"
        self.collector.wait(lambda: self.unanswered <= at_most, timeout_s, what)

    def settle(self) -> None:
        """Until no result has come for a while: what lacks then is lost."""
        last, since_s = -1, time.monotonic()
        while time.monotonic() - since_s < QUIET_S:
            if self.results != last:
                last, since_s = self.results, time.monotonic()
            time.sleep(0.05)

    def flush(self) -> None:
        """Until all that the broker has for the collector has come."""
        self.sender.publish("edge/flush/state", str(len(self.sent)))
        payload = str(len(self.sent)).encode()
        self.collector.wait_for(lambda m: m.payload == payload, what="the end of the queue")

    def _record(self, message: Received) -> Record:
        body = message.json
        if message.topic.endswith("/error"):
            return Record(body["id"], self._digests[body["input"]["sha256"]], dead_letter=True)
        return Record(body["id"], int(body["data"]["text"].split()[1]))


@dataclass(frozen=True)
class KillPlan:
    """How often to kill, over how many messages."""

    kills: int
    messages: int
    seed: int
    while_starting_share: float = 0.2
    """This share of the kills falls into the start, the others into the work."""


@dataclass(frozen=True)
class KillResult:
    """The verdict, and how many kills hit messages that had arrived but had no event."""

    verdict: Verdict
    kills: int
    kills_in_flight: int
    seconds: float


def run_kills(traffic: Traffic, agent: AgentProcess, plan: KillPlan) -> KillResult:
    """Kills and restarts the agent while messages come, then lets it finish."""
    rng = random.Random(plan.seed)
    began_s, in_flight = time.monotonic(), 0
    share = plan.messages // (plan.kills + 1)
    agent.start()
    for _ in range(plan.kills):
        traffic.send(share)
        if rng.random() < plan.while_starting_share:
            time.sleep(rng.uniform(0, LONGEST_START_S))
        else:
            _wait_until_at_work(traffic, agent, rng, share)
        agent.kill()
        in_flight += traffic.unanswered > 0
        agent.start(wait=False)
    traffic.send(plan.messages - len(traffic.sent))
    agent.wait_ready()
    traffic.wait_until_unanswered(0)
    assert agent.stop() == 0, agent.stderr
    traffic.flush()
    verdict = judge(traffic.sent, traffic.records())
    return KillResult(verdict, plan.kills, in_flight, time.monotonic() - began_s)


def _wait_until_at_work(
    traffic: Traffic, agent: AgentProcess, rng: random.Random, share: int
) -> None:
    """A moment at which some of the last ``share`` messages have their event and some have not."""
    agent.wait_ready()
    traffic.wait_until_unanswered(rng.randint(share // 4, share))


def prepare_agent(folder: Path, port: int, bundle: Path | None, **sections: object) -> AgentProcess:
    """An agent for ``Traffic``, configured in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    return AgentProcess(write_config(folder / "edge-agent.toml", port, bundle, **sections))

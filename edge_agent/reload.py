"""Changed bundles taken up while the agent works. Any failure leaves the Fleet as it is.

    asked for, or seen on disk → loaded aside in a thread → ReloadEnded → swapped between batches

One loader runs at a time; what is asked for meanwhile becomes one more reload after it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.acks import Entry
from edge_agent.errors import AgentError, OperationDisabled, RejectedMessage, ReloadFailed
from edge_agent.fleet import Fleet
from edge_agent.leaving import LOADER
from edge_agent.log import LOGGER
from edge_agent.memory import give_back
from edge_agent.surroundings import Surroundings
from edge_agent.transport.base import Inbox, ReloadEnded
from edge_agent.types import Message, Timing
from edge_agent.watch import BundleWatch
from edge_agent.wire.outbound import iso_time
from edge_agent.wire.outputs import model_data
from edge_agent.wire.schema import ReloadData
from edge_agent.work import Work

MAX_ASKERS = 16
BUNDLE_CHANGED = "bundle changed"
REQUEST = "request"
START = "start"

Load = Callable[[Fleet], Fleet]


@dataclass(frozen=True)
class Failure:
    """Why a Fleet could not be loaded. Texts alone: an exception would keep what it met alive."""

    problem: str
    fix: str


class Loader:
    """Runs ``load`` in a thread of its own. All methods are for the agent's loop."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._thread: threading.Thread | None = None
        self._result: Fleet | Failure | None = None

    @property
    def busy(self) -> bool:
        """Whether a result is still to be taken."""
        return self._thread is not None

    def start(self, current: Fleet, inbox: Inbox) -> None:
        """Begins to load; ``ReloadEnded`` in the inbox says that it is over."""

        def work() -> None:
            self._result = self._attempt(current)
            inbox.put(ReloadEnded())

        self._thread = threading.Thread(target=work, name=LOADER, daemon=True)
        self._thread.start()

    def take(self) -> Fleet | Failure:
        """The result of the loader that is over."""
        self.wait(None)
        result, self._result, self._thread = self._result, None, None
        if result is None:
            raise RuntimeError("no loader was started")
        return result

    def wait(self, timeout_s: float | None) -> None:
        """Until the thread, if there is one, has ended."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _attempt(self, current: Fleet) -> Fleet | Failure:
        """A bug that only this bundle meets must not end an agent that works."""
        try:
            return self._load(current)
        except AgentError as error:
            return Failure(error.problem, error.fix)
        except Exception as error:  # noqa: BLE001 - the wall that keeps the old Fleet at work
            LOGGER("edge_agent").exception("reload met a bug")
            said = f"{type(error).__name__}: {error}"
            return Failure(f"loading met a bug: {said}", "report it with the log and the bundle")


@dataclass(frozen=True)
class Supply:
    """The first Fleet, where the next ones come from, and whether requests may ask for them.

    ``problem`` is why the configured challenger is not in the first one.
    """

    fleet: Fleet
    loader: Loader
    watch: BundleWatch
    allow_request: bool = False
    problem: Failure | None = None


class Reloader:
    """When to reload, and what is said of it."""

    def __init__(self, supply: Supply, work: Work, surroundings: Surroundings) -> None:
        self._loader, self._watch = supply.loader, supply.watch
        self._work, self._results = work, work.results
        self._clock, self._presence = surroundings.clock, surroundings.presence
        self._allow_request = supply.allow_request
        self._asked: str | None = None
        self._askers: list[Message] = []
        self._answering: list[Message] = []
        self._running = (START, 0.0)
        self.latest: ReloadData | None = None
        if supply.problem:
            self.latest = self._told(supply.problem, supply.fleet)

    def give_up(self) -> None:
        """The agent begins to stop: who waits hears so, for their requests are settled already."""
        error = ReloadFailed(
            "the agent stops before the reload is over",
            "see its state topic once it is back: a start takes the bundles on disk",
        )
        for message in (*self._answering, *self._askers):
            self._results.conclude(message, error, Timing(), Entry(message.delivery, outstanding=1))
        self._answering, self._askers = [], []

    def stop(self, timeout_s: float) -> None:
        """Waits for a loader that still runs; its Fleet is not used."""
        self._loader.wait(timeout_s)

    def ask(self, reason: str, inbox: Inbox) -> None:
        """Reloads now, or once more after the reload that runs."""
        self._asked = reason
        if reason != BUNDLE_CHANGED:
            self._work.pardon()
        self._begin(inbox)

    def ask_by_message(self, message: Message, entry: Entry, inbox: Inbox) -> None:
        """The request is settled at once: later deliveries must not wait for the reload."""
        error: RejectedMessage | None = None
        if not self._allow_request:
            error = OperationDisabled(
                "reload requests are not allowed",
                "set reload.allow_request = true and restart, or run `edge-agent reload` there",
            )
        elif len(self._askers) >= MAX_ASKERS:
            error = ReloadFailed("too many wait for a reload", "ask again later")
        if error:
            self._results.conclude(message, error, Timing(), entry)
            return
        entry.outstanding -= 1
        self._askers.append(message)
        self.ask(REQUEST, inbox)

    def look(self, inbox: Inbox) -> None:
        """Reloads when a bundle has changed on disk."""
        if not self._loader.busy and self._watch.has_changed():
            self.ask(BUNDLE_CHANGED, inbox)

    def conclude(self, inbox: Inbox) -> None:
        """The loader is over: swaps, says what came of it, and begins what was asked meanwhile."""
        result = self._loader.take()
        before = self._work.fleet
        if isinstance(result, Fleet):
            self._work.take_over(result)
        self.latest = self._told(result, before)
        del result, before
        give_back()
        self._say(self.latest)
        self._begin(inbox)

    def _begin(self, inbox: Inbox) -> None:
        if self._asked is None or self._loader.busy:
            return
        self._running = (self._asked, self._clock.monotonic())
        self._answering, self._askers, self._asked = self._askers, [], None
        self._watch.note()
        self._loader.start(self._work.fleet, inbox)

    def _told(self, result: Fleet | Failure, before: Fleet) -> ReloadData:
        told: ReloadData = {
            "outcome": "failed",
            "time": iso_time(self._clock.unix()),
            "reason": self._running[0],
            "model": model_data(self._work.fleet.card),
        }
        if isinstance(result, Failure):
            return {**told, "problem": result.problem, "fix": result.fix}
        if result == before:
            return {**told, "outcome": "unchanged"}
        if result.card != before.card:
            told["before"] = model_data(before.card)
        return {**told, "outcome": "changed"}

    def _say(self, told: ReloadData) -> None:
        """Counter, log, replies, and word for ``edge-agent reload``; the state is the agent's."""
        self._results.metrics.count(f"reloads_{told['outcome']}")
        log = LOGGER("edge_agent")
        (log.warning if told["outcome"] == "failed" else log.info)("reload", **_flat(told))
        self._presence.tell({**told}, self._running[1])
        for message in self._answering:
            self._answer(message, told)
        self._answering = []

    def _answer(self, message: Message, told: ReloadData) -> None:
        entry = Entry(message.delivery, outstanding=1)
        if told["outcome"] != "failed":
            self._results.reply(message, {**told}, entry)
            return
        error = ReloadFailed(told["problem"], told["fix"])
        self._results.conclude(message, error, Timing(), entry)


def _flat(told: ReloadData) -> dict[str, str]:
    """For the log: one line, a bundle by name and version."""
    flat: dict[str, str] = {}
    for key, value in told.items():
        flat[key] = f"{value['name']} {value['version']}" if isinstance(value, dict) else str(value)
    return flat

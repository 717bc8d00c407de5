"""Messages that wait for the models, and their way through them. Knows nothing of brokers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from edge_agent.acks import Entry
from edge_agent.batching import Batcher
from edge_agent.config import Config
from edge_agent.errors import RejectedMessage
from edge_agent.fleet import Fleet
from edge_agent.generating import GenerationQueue
from edge_agent.log import LOGGER
from edge_agent.results import Results
from edge_agent.runner import Group, Result, Runner, mark
from edge_agent.second_stage import Routed, SecondStage
from edge_agent.shadow import Comparison, Shadow
from edge_agent.surroundings import Clock, Surroundings
from edge_agent.types import Answer, Message, Operation, Timing

BENCHED = "the agent crashed while the challenger worked"
BENCHED_FIX = "install a mended bundle; `edge-agent reload` gives this one another chance"


@dataclass
class Work:
    """``results`` takes what comes of each message, in the order in which they came."""

    fleet: Fleet
    runner: Runner
    results: Results
    clock: Clock
    batcher: Batcher[tuple[Message, Entry]]
    second_stage: SecondStage

    def __post_init__(self) -> None:
        self._shadow = self._fresh_shadow()

    def __len__(self) -> int:
        return len(self.batcher) + len(self.second_stage)

    @property
    def has_room(self) -> bool:
        """Whether the next batch could take one message more."""
        return len(self.batcher) < self.batcher.max_messages

    @property
    def on_trial(self) -> bool:
        """Whether the challenger, if there is one, takes part."""
        return self._shadow.fleet == self.fleet

    @property
    def comparison(self) -> Comparison:
        """What the shadow has seen since the challenger came."""
        return self._shadow.comparison

    @property
    def shadow_waits(self) -> bool:
        """Whether the challenger has something to look at."""
        return len(self._shadow) > 0

    def take_over(self, fleet: Fleet) -> None:
        """From the next batch on, this Fleet answers. A trial between the same two goes on."""
        before, on_trial = self.fleet, self.on_trial
        if fleet == before and on_trial:
            return
        self.fleet = fleet
        if on_trial and (fleet.champion, fleet.trial) == (before.champion, before.trial):
            self._shadow.fleet = fleet
        else:
            self._shadow = self._fresh_shadow()

    def pardon(self) -> None:
        """The next ``take_over`` gives a challenger that was left out another chance."""
        if trial := self.fleet.trial:
            self.runner.crashes.forgive(mark(trial.challenger.card))

    def add(self, message: Message, entry: Entry) -> None:
        """Takes a message in."""
        if message.specialist is None:
            self.batcher.add((message, entry), len(message.text), self.clock.monotonic())
        else:
            writer, refusal = self.fleet.writers[message.specialist], self.runner.refusal
            self.second_stage.answer(message, entry, writer, partial(refusal, message))

    def due_in_s(self) -> float | None:
        """Seconds until there is work, 0 when it is due, None when nothing waits."""
        return 0.0 if len(self.second_stage) else self._batch_due_in_s()

    def run(self, *, flush: bool) -> None:
        """The next batch if it is due, or at once to ``flush``; then a slice of what is written."""
        if flush or self._batch_due_in_s() == 0:
            self.run_batch()
        self.second_stage.run_slice()

    def _batch_due_in_s(self) -> float | None:
        return self.batcher.due_in_s(self.clock.monotonic())

    def run_shadow(self) -> None:
        """Lets the challenger look at one message."""
        self._shadow.run_one()

    def run_batch(self) -> None:
        """Works off the next batch."""
        batch = dict(self.batcher.take())
        now_s = self.clock.monotonic()
        for message, entry in list(batch.items()):
            if error := self.runner.refusal(message, now_s):
                self.results.conclude(message, error, Timing(), entry)
                del batch[message]
        done = self._run(list(batch))
        for message, entry in batch.items():
            result, timing = done[message]
            self._conclude(message, result, timing, entry)
            if isinstance(result, Answer):
                self._shadow.offer(message, result.prediction)

    def _conclude(self, message: Message, result: Result, timing: Timing, entry: Entry) -> None:
        """An event waits for its output, where its route has one; all else is said at once."""
        writer = None
        if isinstance(result, Answer) and message.operation is Operation.EVENT:
            writer = self.fleet.follower(result.prediction)
        if writer is None or isinstance(result, RejectedMessage):
            self.results.conclude(message, result, timing, entry)
        else:
            self.second_stage.follow(Routed(message, result, timing, entry), writer)

    def _run(self, messages: list[Message]) -> dict[Message, tuple[Result, Timing]]:
        done: dict[Message, tuple[Result, Timing]] = {}
        fleet = self._shadow.fleet
        for group in self.runner.groups(fleet, messages):
            started_s = self.clock.monotonic()
            results = self.runner.run(fleet, group)
            model_ms = (self.clock.monotonic() - started_s) * 1000
            self._count_failures(group, results)
            for message, result in zip(group[1], results, strict=True):
                queue_ms = (started_s - message.delivery.received_s) * 1000
                done[message] = (result, Timing(queue_ms, model_ms))
        return done

    def _count_failures(self, group: Group, results: list[Result]) -> None:
        """What a canary was asked, and did not answer itself."""
        card = group[0].card
        if card == self.fleet.card:
            return
        for result in results:
            if not isinstance(result, Answer) or result.card != card:
                self.results.metrics.count("canary_failed")

    def _fresh_shadow(self) -> Shadow:
        fleet, trial = self.fleet, self.fleet.trial
        if trial and self.runner.is_benched(trial.challenger.card):
            fleet = fleet.without_trial()
            LOGGER("edge_agent").warning("challenger left out", problem=BENCHED, fix=BENCHED_FIX)
        return Shadow(fleet, self.runner.crashes, self.clock)


def work_for(config: Config, fleet: Fleet, results: Results, surroundings: Surroundings) -> Work:
    """Work in batches as configured."""
    batch = config.batch
    return Work(
        fleet,
        Runner(surroundings.crashes, config.limits.deadline_s),
        results,
        surroundings.clock,
        Batcher(batch.max_messages, batch.max_chars, batch.max_wait_ms),
        SecondStage(
            results, GenerationQueue(surroundings.crashes, surroundings.clock, config.generate)
        ),
    )

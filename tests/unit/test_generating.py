"""Writing in slices: what waits how long, what goes out when, and what a crash costs."""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.bundle import load_bundle
from edge_agent.crashes import CrashRecord
from edge_agent.errors import InferenceFailed, PoisonMessage, RejectedMessage
from edge_agent.generating import GenerationQueue, Order
from edge_agent.generator import GeneratorSpecialist
from edge_agent.sections import Generate
from edge_agent.surroundings import Clock
from edge_agent.types import Output
from tests.support.tiny_generator import tiny_generator

TEXT = "pump P-101 is leaking"
STEP_S = 0.02


class Room:
    """A queue on a clock that goes on by ``STEP_S`` with each run of the model."""

    def __init__(self, folder: Path, **task: Any) -> None:
        self.folder = folder
        self.now_s = 1000.0
        clock = Clock(lambda: self.now_s, lambda: self.now_s)
        bundle = load_bundle(tiny_generator(folder / "bundle", **task))
        self.specialist = GeneratorSpecialist(bundle, 1, clock.monotonic)
        self.steps = 0
        feed = self.specialist._decoder.model.feed

        def counted(tokens: Any) -> Any:
            self.steps += 1
            self.now_s += STEP_S
            return feed(tokens)

        self.specialist._decoder.model.feed = counted  # type: ignore[method-assign]
        self.done: dict[str, Output | RejectedMessage] = {}
        self.clock = clock
        self.open()

    def open(self, **limits: int) -> None:
        """As after a start of the process."""
        self.crashes = CrashRecord(self.folder / "run")
        self.queue = GenerationQueue(self.crashes, self.clock, Generate(**limits))

    def order(self, name: str, text: str = TEXT) -> None:
        def conclude(found: Output | RejectedMessage) -> None:
            assert name not in self.done
            self.done[name] = found

        self.queue.add(Order(name, text, self.specialist, conclude))

    def output(self, name: str) -> Output:
        found = self.done[name]
        assert isinstance(found, Output)
        return found

    def finish(self) -> None:
        for _ in range(1000):
            if not len(self.queue):
                return
            self.queue.run_slice()
        raise AssertionError("never done")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Room]]:
    yield lambda **task: Room(tmp_path, **task)
    faulthandler.enable(sys.__stderr__ or sys.stderr)


@pytest.fixture
def room(make: Callable[..., Room]) -> Room:
    return make()


def test_one_after_the_other(room: Room) -> None:
    """In the order in which they came, each whole and once."""
    for name in "abc":
        room.order(name)
    room.finish()
    assert list(room.done) == ["a", "b", "c"]
    assert all(room.output(name).complete for name in "abc")
    assert room.output("a").value == room.output("c").value


def test_a_slice_ends_when_its_time_is_over(room: Room) -> None:
    """After the step that was under way then."""
    room.open(slice_ms=50)
    room.order("a")
    before_s = room.now_s
    room.queue.run_slice()
    assert room.steps == 3
    assert room.now_s - before_s <= 0.05 + STEP_S
    assert not room.done


def test_a_slice_makes_at_least_one_step(room: Room) -> None:
    """However short it is."""
    room.open(slice_ms=1)
    room.order("a")
    room.queue.run_slice()
    assert room.steps == 1


def test_nothing_to_do(room: Room) -> None:
    """Takes no time."""
    room.queue.run_slice()
    assert room.steps == 0


def test_too_many_wait(room: Room) -> None:
    """The newest go out without at once; the others are not harmed."""
    room.open(max_waiting_messages=2)
    for name in "abcd":
        room.order(name)
    assert [room.output(name).end for name in "cd"] == ["busy", "busy"]
    assert room.output("c").card == room.specialist.card
    room.finish()
    assert room.output("a").complete
    assert room.output("b").complete


def test_who_waits_too_long_goes_out_without(room: Room) -> None:
    """Begun or not; the next one is not harmed."""
    room.open(max_wait_ms=300)
    room.order("a")
    room.order("b")
    room.queue.run_slice()
    room.now_s += 0.2
    room.order("c")
    room.now_s += 0.1
    room.queue.run_slice()
    assert [room.output(name).end for name in "ab"] == ["time-limit", "time-limit"]
    assert room.output("a").value is None
    assert room.output("a").tokens > 0
    assert room.output("b").tokens == 0
    assert "c" not in room.done
    assert len(room.queue) == 1


def test_the_limit_of_the_task_counts_from_its_beginning(make: Callable[..., Room]) -> None:
    """Waiting for one's turn is no writing."""
    room = make(max_time_ms=5000)
    for name in "abc":
        room.order(name)
    room.now_s += 6
    room.finish()
    assert all(room.output(name).complete for name in "abc")


def test_a_text_that_nothing_can_be_written_about(make: Callable[..., Room]) -> None:
    """Is told so; the next one is written."""
    asset = {"type": "string", "x-extractive": True, "maxLength": 5}
    room = make(output_schema={"type": "object", "properties": {"a": asset}, "required": ["a"]})
    room.order("a", "leaking")
    room.order("b", "pump")
    room.finish()
    assert isinstance(room.done["a"], InferenceFailed)
    assert room.output("b").value == {"a": "pump"}
    assert room.crashes.counts == {}


def test_a_redelivery_is_written_about_alike(make: Callable[..., Room]) -> None:
    """The message's id is the seed."""
    room = make(temperature=1.5)
    for name in ("0a", "1b", "2c"):
        room.order(name)
    room.finish()
    values = [room.output(name).value for name in ("0a", "1b", "2c")]
    first = room.done.pop("0a")
    room.order("0a")
    room.finish()
    assert room.done["0a"] == first
    assert any(value != values[0] for value in values)


def test_what_it_crashes_on_twice_it_is_not_asked_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message itself is no poison: its event goes out, without output."""
    for _ in range(2):
        room.order("a" * 32)
        with monkeypatch.context() as patch:
            patch.setattr("edge_agent.generating._advance", dies)
            with pytest.raises(SystemError):
                room.queue.run_slice()
        room.open()
    room.order("a" * 32)
    assert isinstance(room.done["a" * 32], PoisonMessage)
    assert not room.crashes.is_poison("a" * 32)
    room.order("b" * 32)
    room.finish()
    assert room.output("b" * 32).complete


def dies(_: Order) -> None:
    raise SystemError("as if it had crashed")


def test_one_crash_is_forgiven_when_it_is_written_at_last(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been chance."""
    room.order("a")
    with monkeypatch.context() as patch:
        patch.setattr("edge_agent.generating._advance", dies)
        with pytest.raises(SystemError):
            room.queue.run_slice()
    room.open()
    assert len(room.crashes.counts) == 1
    room.order("a")
    room.finish()
    assert room.output("a").complete
    assert room.crashes.counts == {}

"""Texts that wait to be written about: one at a time, in slices. Knows nothing of brokers.

A slice ends as soon as its time is over, after at least one step, so that batches and the watchdog
never wait longer than a slice and a step. Whoever waits past ``max_wait_ms`` gets what there is.

What a specialist crashes on twice it is not asked again. That is counted apart from the crashes of
the encoder: the message's event still goes out.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from edge_agent.crashes import ID_BYTES, CrashRecord
from edge_agent.errors import InferenceFailed, PoisonMessage, RejectedMessage
from edge_agent.generator import GeneratorSpecialist, Writing
from edge_agent.sections import Generate
from edge_agent.surroundings import Clock
from edge_agent.types import End, Output

Refusal = Callable[[float], RejectedMessage | None]
"""At a time of the clock, why nothing need be written any more."""


def never(now_s: float) -> None:
    """A ``Refusal``: what is owed in any case."""


@dataclass(eq=False)
class Order:
    """One text to write about. ``conclude`` is called once, with what came of it.

    ``refusal`` is asked when its turn has come.
    """

    message_id: str
    text: str
    specialist: GeneratorSpecialist
    conclude: Callable[[Output | RejectedMessage], None]
    refusal: Refusal = never
    due_s: float = 0.0
    writing: Writing | None = None

    @property
    def mark(self) -> str:
        """Under which it stands in the record of crashes."""
        return hashlib.sha256(f"generate {self.message_id}".encode()).hexdigest()[:ID_BYTES]

    @property
    def seed(self) -> int:
        """The same for the same message, so that a redelivery is written about alike."""
        return int.from_bytes(self.message_id.encode()[:16], "big")


@dataclass
class GenerationQueue:
    """See the module."""

    crashes: CrashRecord
    clock: Clock
    limits: Generate
    _orders: deque[Order] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._orders)

    def add(self, order: Order) -> None:
        """Takes an order in; when too many wait, it is concluded at once."""
        if len(self) >= self.limits.max_waiting_messages:
            order.conclude(Output(End.BUSY, order.specialist.card))
        elif self.crashes.is_poison(order.mark):
            order.conclude(_poison())
        else:
            order.due_s = self.clock.monotonic() + self.limits.max_wait_ms / 1000
            self._orders.append(order)

    def run_slice(self) -> None:
        """Writes for ``slice_ms``, at least one step, if anything waits."""
        until_s = self.clock.monotonic() + self.limits.slice_ms / 1000
        self._give_up_overdue()
        while self._orders:
            self._step(self._orders[0])
            if self.clock.monotonic() >= until_s:
                return

    def _step(self, order: Order) -> None:
        if order.writing is None and (refused := order.refusal(self.clock.monotonic())):
            self._conclude(order, refused)
            return
        with self.crashes.working_on([order.mark]):
            found = _advance(order)
        if found is not None:
            self.crashes.forgive(order.mark)
            self._conclude(order, found)

    def _give_up_overdue(self) -> None:
        now_s = self.clock.monotonic()
        for order in [order for order in self._orders if now_s >= order.due_s]:
            self._conclude(order, _as_it_is(order))

    def _conclude(self, order: Order, found: Output | RejectedMessage) -> None:
        self._orders.remove(order)
        order.conclude(found)


def _advance(order: Order) -> Output | RejectedMessage | None:
    """One step; what came of it once it is over."""
    try:
        order.writing = order.writing or order.specialist.begin(order.text, order.seed)
        order.writing.step()
    except InferenceFailed as error:
        return error
    return order.writing.output() if order.writing.over else None


def _as_it_is(order: Order) -> Output:
    if order.writing is None:
        return Output(End.TIME_LIMIT, order.specialist.card)
    return replace(order.writing.output(), end=End.TIME_LIMIT)


def _poison() -> PoisonMessage:
    return PoisonMessage(
        "the agent crashed twice while it wrote about this message",
        "report it with its payload and the bundle's name; see crash.txt in runtime_dir",
    )

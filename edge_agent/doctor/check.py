"""One row of the doctor's table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge_agent.doctor.finding import Finding
from edge_agent.doctor.patient import Patient

Findings = Finding | Iterable[Finding]


@dataclass(frozen=True)
class Check:
    """``id`` is stable, ``group.name``; ``examines`` says in a line what is looked at.

    ``run`` gives one finding or several; an AgentError that it raises is a finding too. ``needs``
    are ids of checks that must have gone well before; ``unless`` says why there is nothing to look
    at, or None when there is. With ``probe``, it sends messages to the broker, and runs only when
    that was asked for. ``mends`` is what usually helps, for the documents.
    """

    id: str
    examines: str
    run: Callable[[Patient], Findings]
    needs: tuple[str, ...] = ()
    time_limit_s: float = 3.0
    probe: bool = False
    unless: Callable[[Patient], str | None] = lambda _: None
    mends: str = ""

    @property
    def group(self) -> str:
        """The part of the id before the dot."""
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        """The part of the id after the dot."""
        return self.id.partition(".")[2]

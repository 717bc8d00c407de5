"""The bench: all bundles under all settings in turns, then what a message costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.bench.conditions import (
    Notes,
    doubts,
    others_share,
    processor_time,
    what_machine,
)
from edge_agent.bench.energy import Meter
from edge_agent.bench.entrants import Entrant, Sweep, enter
from edge_agent.bench.plan import Plan
from edge_agent.bench.runs import Figures, Setting, figures, interleaved
from edge_agent.bench.sensors import NoMeter, find_meter
from edge_agent.bench.suggest import Suggestion, suggest
from edge_agent.bench.weigh import Cost, weigh, weighing_s
from edge_agent.doctor.finding import warning
from edge_agent.doctor.patient import Patient
from edge_agent.footprint import peak_bytes
from edge_agent.memory import available_bytes

FEW_ROUNDS = 3


@dataclass(frozen=True)
class Timed:
    """One bundle and its figures, None where there was no time."""

    entrant: Entrant
    figures: dict[Setting, Figures | None]


@dataclass(frozen=True)
class Outcome:
    """All that the bench has to say. ``no_energy`` says why there are no costs, or not of all."""

    machine: str
    bundles: Sequence[Timed]
    suggestion: Suggestion | None
    meter: Meter | NoMeter
    costs: Sequence[Cost]
    no_energy: str
    notes: Notes


def bench(plan: Plan, patient: Patient) -> Outcome:
    """Measures all of it. SetupError when a bundle cannot be loaded, or fails on our texts."""
    threads, short = _affordable(plan, available_bytes(patient.root))
    sweep = Sweep(threads, plan.batches)
    entrants = [enter(bundle, sweep, plan.clock) for bundle in plan.bundles]
    meter = find_meter(patient)
    before = processor_time(patient)
    timed = _timed(entrants, plan, plan.seconds - weighing_s(meter, plan))
    share = others_share(before, processor_time(patient))
    suggestion = suggest(_leading(timed).figures, plan.cores)
    costs, why = weigh(meter, entrants, suggestion, plan)
    notes = [*short, *_haste(timed), *doubts(patient, share)]
    machine = f"{what_machine(patient)}, {plan.cores} core{'s' if plan.cores > 1 else ''}"
    return Outcome(machine, timed, suggestion, meter, costs, why, notes)


def _affordable(plan: Plan, room_bytes: int | None) -> tuple[Sequence[int], Notes]:
    """The counts of threads that there is memory for: each is a session of its own."""
    need_bytes = len(plan.threads) * sum(peak_bytes(bundle) for bundle in plan.bundles)
    if room_bytes is None or need_bytes <= room_bytes:
        return plan.threads, []
    text = (
        f"{room_bytes >> 20} MiB of memory are free: {plan.usual_threads} threads tried, no others"
    )
    fix = "stop what is not needed, then `edge-agent bench` again"
    return [plan.usual_threads], [("memory", warning(text, fix))]


def _timed(entrants: Sequence[Entrant], plan: Plan, seconds: float) -> list[Timed]:
    """Each bundle has the same time; what it does not use is left to the next."""
    found = []
    end_s = plan.clock() + seconds
    for i, entrant in enumerate(entrants):
        now_s = plan.clock()
        until_s = now_s + (end_s - now_s) / (len(entrants) - i)
        rounds = interleaved(entrant.works, until_s, plan.clock)
        found.append(Timed(entrant, {s: figures(s.batch, runs) for s, runs in rounds.items()}))
    return found


def _haste(timed: Sequence[Timed]) -> Notes:
    """Whether a median is one of so few that a single disturbance may move it."""
    rounds = [found.rounds if found else 0 for one in timed for found in one.figures.values()]
    if min(rounds) >= FEW_ROUNDS:
        return []
    text = f"some settings had {min(rounds)} turns, {FEW_ROUNDS} is the least"
    return [("haste", warning(text, "measure longer, or fewer counts: see --seconds, --threads"))]


def _leading(timed: Sequence[Timed]) -> Timed:
    """The bundle that settings are chosen for: the one that answers all messages."""
    return next((one for one in timed if one.entrant.kind == "encoder"), timed[0])

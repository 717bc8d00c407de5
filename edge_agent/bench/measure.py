"""The bench: all bundles under all settings in turns, then what a message costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge_agent.bench.conditions import Notes, doubts, others_share, processor_time
from edge_agent.bench.energy import Energy, Meter, watched, watts
from edge_agent.bench.entrants import Entrant, Sweep, enter
from edge_agent.bench.runs import Clock, Figures, Setting, figures, interleaved
from edge_agent.bench.sensors import NoMeter, find_meter
from edge_agent.bench.suggest import Suggestion, suggest
from edge_agent.bundle import Bundle
from edge_agent.doctor.finding import warning
from edge_agent.doctor.patient import Patient
from edge_agent.loading import peak_bytes
from edge_agent.memory import available_bytes

ENERGY_S = 10.0
"""How long a sensor is read at rest, and as long again for each bundle at work."""


@dataclass(frozen=True)
class Plan:
    """What to try, and for how long, loading apart. ``cores`` are those this process may use.

    Where memory is short, only ``usual_threads`` are tried.
    """

    bundles: Sequence[Bundle]
    threads: Sequence[int]
    usual_threads: int
    batches: Sequence[int]
    seconds: float
    cores: int
    clock: Clock = time.monotonic
    rest: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Timed:
    """One bundle and its figures, None where there was no time."""

    entrant: Entrant
    figures: dict[Setting, Figures | None]


@dataclass(frozen=True)
class Cost:
    """What a message takes of a bundle under a setting."""

    entrant: Entrant
    setting: Setting
    energy: Energy


@dataclass(frozen=True)
class Outcome:
    """All that the bench has to say. ``no_energy`` says why there are no costs, or not of all."""

    bundles: list[Timed]
    suggestion: Suggestion | None
    meter: Meter | NoMeter
    costs: list[Cost] = field(default_factory=list)
    no_energy: str = ""
    notes: Notes = field(default_factory=list)


def bench(plan: Plan, patient: Patient) -> Outcome:
    """Measures all of it. SetupError when a bundle cannot be loaded, or fails on our texts."""
    threads, short = _affordable(plan, available_bytes(patient.root))
    sweep = Sweep(threads, plan.batches)
    entrants = [enter(bundle, sweep, plan.clock) for bundle in plan.bundles]
    meter = find_meter(patient)
    weighed = [] if isinstance(meter, NoMeter) else entrants[: _places(plan.seconds)]
    before = processor_time(patient)
    timed = _timed(entrants, plan, plan.seconds - ENERGY_S * (len(weighed) + bool(weighed)))
    share = others_share(before, processor_time(patient))
    suggestion = suggest(_leading(timed).figures, plan.cores)
    costs = _costs(meter, weighed, suggestion, plan)
    why = _why_not(meter, costs, entrants)
    return Outcome(timed, suggestion, meter, costs, why, [*short, *doubts(patient, share)])


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


def _places(seconds: float) -> int:
    """How many bundles there is time to weigh: half of it is for the timings."""
    return max(int(seconds / 2 / ENERGY_S) - 1, 0)


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


def _leading(timed: Sequence[Timed]) -> Timed:
    """The bundle that settings are chosen for: the one that answers all messages."""
    return next((one for one in timed if one.entrant.kind == "encoder"), timed[0])


def _costs(
    meter: Meter | NoMeter, entrants: Sequence[Entrant], suggestion: Suggestion | None, plan: Plan
) -> list[Cost]:
    """Of these bundles on medium texts, under the settings suggested."""
    if isinstance(meter, NoMeter) or suggestion is None or not entrants:
        return []
    idle_w = watts(meter, watched(meter, lambda: plan.rest(ENERGY_S), plan.clock))
    found = []
    for entrant in entrants:
        batch = suggestion.batch if suggestion.batch and entrant.kind == "encoder" else 1
        setting = Setting("medium", batch, suggestion.threads)
        if idle_w and (energy := _energy(meter, idle_w, entrant, setting, plan)):
            found.append(Cost(entrant, setting, energy))
    return found


def _energy(
    meter: Meter, idle_w: float, entrant: Entrant, setting: Setting, plan: Plan
) -> Energy | None:
    runs = 0

    def work() -> None:
        nonlocal runs
        end_s = plan.clock() + ENERGY_S
        while plan.clock() < end_s:
            entrant.works[setting]()
            runs += 1

    began_s = plan.clock()
    work_w = watts(meter, watched(meter, work, plan.clock))
    work_s = plan.clock() - began_s
    return Energy(idle_w, work_w, runs * setting.batch, work_s) if work_w else None


def _why_not(meter: Meter | NoMeter, costs: Sequence[Cost], entrants: Sequence[Entrant]) -> str:
    if isinstance(meter, NoMeter):
        return meter.why
    if len(costs) == len(entrants):
        return ""
    need_s = 2 * ENERGY_S * (1 + len(entrants))
    return f"of {len(costs)} of {len(entrants)} bundles; all take --seconds {need_s:.0f}"

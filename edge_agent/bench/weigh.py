"""What a message costs of each bundle that there is time for: work beside rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_agent.bench.energy import Energy, Meter, watched, watts
from edge_agent.bench.entrants import Entrant
from edge_agent.bench.plan import Plan
from edge_agent.bench.runs import Setting
from edge_agent.bench.sensors import NoMeter
from edge_agent.bench.suggest import Suggestion

ENERGY_S = 10.0
"""How long a sensor is read at rest, and as long again for each bundle at work."""


@dataclass(frozen=True)
class Cost:
    """What a message takes of a bundle under a setting."""

    entrant: Entrant
    setting: Setting
    energy: Energy


def weighing_s(meter: Meter | NoMeter, plan: Plan) -> float:
    """Of the plan's time, what ``weigh`` takes."""
    places = 0 if isinstance(meter, NoMeter) else _places(plan)
    return ENERGY_S * (1 + places) if places else 0.0


def weigh(
    meter: Meter | NoMeter, entrants: Sequence[Entrant], chosen: Suggestion | None, plan: Plan
) -> tuple[list[Cost], str]:
    """Costs of the first bundles, and why none, or not of all. Medium texts, settings as chosen."""
    if isinstance(meter, NoMeter):
        return [], meter.why
    if chosen is None:
        return [], "there was no time to choose settings: measure longer, with --seconds"
    weighed = entrants[: _places(plan)]
    costs = _costs(meter, weighed, chosen, plan)
    if len(costs) < len(weighed):
        return costs, "the sensor stopped answering"
    if len(costs) < len(entrants):
        missing = ", ".join(one.card.name for one in entrants[len(costs) :])
        need_s = 2 * ENERGY_S * (1 + len(entrants))
        return costs, f"{missing}: no time left; --seconds {need_s:.0f} is enough"
    return costs, ""


def _places(plan: Plan) -> int:
    """How many bundles there is time for: half of all time is for the timings."""
    return min(max(int(plan.seconds / 2 / ENERGY_S) - 1, 0), len(plan.bundles))


def _costs(meter: Meter, entrants: Sequence[Entrant], chosen: Suggestion, plan: Plan) -> list[Cost]:
    idle_w = _power(meter, lambda: plan.rest(ENERGY_S), plan) if entrants else None
    found = []
    for entrant in entrants:
        batch = chosen.batch if chosen.batch and entrant.kind == "encoder" else 1
        setting = Setting("medium", batch, chosen.threads)
        if idle_w and (energy := _energy(meter, idle_w, entrant, setting, plan)):
            found.append(Cost(entrant, setting, energy))
    return found


def _energy(
    meter: Meter, idle_w: float, entrant: Entrant, setting: Setting, plan: Plan
) -> Energy | None:
    work, messages = entrant.works[setting], 0

    def repeat() -> None:
        nonlocal messages
        end_s = plan.clock() + ENERGY_S
        while plan.clock() < end_s:
            work()
            messages += setting.batch

    began_s = plan.clock()
    work_w = _power(meter, repeat, plan)
    work_s = plan.clock() - began_s
    return Energy(idle_w, work_w, messages, work_s) if work_w else None


def _power(meter: Meter, work: Callable[[], None], plan: Plan) -> float | None:
    return watts(meter, watched(meter, work, plan.clock, plan.read_every_s))

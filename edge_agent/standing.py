"""What the agent says of itself: state and health."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.health import HealthReport, InHand
from edge_agent.reload import Reloader
from edge_agent.types import JsonObject, Publication
from edge_agent.wire.numbers import ShadowData
from edge_agent.wire.outbound import Writer, state_data
from edge_agent.wire.outputs import model_data
from edge_agent.work import Work


@dataclass(frozen=True)
class Standing:
    """See the module."""

    writer: Writer
    report: HealthReport
    work: Work
    reloader: Reloader

    def state(self, word: str) -> Publication:
        """``online`` or ``stopped``, with the bundles and the latest reload."""
        said = state_data(word, self.work.fleet.card, self.report.clock.unix())
        return self.writer.state({**said, **self._bundles()})  # type: ignore[typeddict-item]

    def health(self, in_hand: InHand) -> JsonObject:
        """The numbers now."""
        champion = self.work.fleet.champion
        numbers = self.report.read(champion.card, champion.reference, in_hand)
        return {**numbers, **self._bundles(), **self._shadow()}

    def _bundles(self) -> JsonObject:
        """The challenger, where there is one, and the latest reload, once there was one."""
        data: JsonObject = {}
        if trial := self.work.fleet.trial:
            data["challenger"] = {
                "model": model_data(trial.challenger.card),
                "mode": trial.mode,
                "share": trial.share,
                "active": self.work.on_trial,
            }
        if self.reloader.latest:
            data["reload"] = {**self.reloader.latest}
        return data

    def _shadow(self) -> JsonObject:
        """How far a shadow agrees; empty without one."""
        trial, seen = self.work.fleet.trial, self.work.comparison
        if trial is None or trial.mode != "shadow":
            return {}
        data: ShadowData = {
            "compared": seen.compared,
            "same_route": seen.same_route,
            "same_entities": seen.same_entities,
            "failed": seen.failed,
            "dropped": seen.dropped,
            "model_ms_p50": seen.model_ms(50),
            "model_ms_p95": seen.model_ms(95),
        }
        return {"shadow": data}

"""What to say of our TLS files: when they end, and why new ones are not used."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_agent.certificates import DAY_S, Certificate
from edge_agent.log import LOGGER
from edge_agent.surroundings import Clock
from edge_agent.transport.base import CredentialsSeen
from edge_agent.types import JsonObject

SOON_DAYS = 30
FIXES = {
    "ca": "write the certificate of the broker's next CA into mqtt.tls.ca_file beside this one",
    "client": "let your CA sign a new pair and write it into mqtt.tls.cert_file and key_file",
}


@dataclass
class TlsReport:
    """Hears what the transport sees. Warns once of a problem, daily of an end that nears."""

    clock: Clock
    _seen: CredentialsSeen | None = None
    _warned_s: dict[str, float] = field(default_factory=dict)

    def hear(self, seen: CredentialsSeen) -> None:
        """The transport has looked."""
        news = seen.error is not None and seen.error.problem != _problem(self._seen)
        self._seen = seen
        if seen.renewed:
            LOGGER("edge_agent").info("TLS files renewed")
        if seen.error is not None and news:
            LOGGER("edge_agent").warning("TLS files not used", **seen.error.fields)
        for name, certificate in seen.certificates.items():
            self._warn(name, certificate)

    def data(self) -> JsonObject:
        """For health; nothing without TLS."""
        if self._seen is None:
            return {}
        now_s, found = self.clock.unix(), self._seen.certificates
        days = {name: round(certificate.days_left(now_s), 2) for name, certificate in found.items()}
        return {"tls": {"expires_in_days": days, "problem": _problem(self._seen)}}

    def _warn(self, name: str, certificate: Certificate) -> None:
        now_s = self.clock.unix()
        days_left = certificate.days_left(now_s)
        if days_left > SOON_DAYS or now_s - self._warned_s.get(name, -DAY_S) < DAY_S:
            return
        self._warned_s[name] = now_s
        when = f"ends in {days_left:.1f} days" if days_left > 0 else "is over"
        problem = f"the {name} certificate {certificate.name!r} {when}"
        LOGGER("edge_agent").warning("TLS certificate ends", problem=problem, fix=FIXES[name])


def _problem(seen: CredentialsSeen | None) -> str:
    return seen.error.problem if seen and seen.error else ""

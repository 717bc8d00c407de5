"""Our session with the broker: its name, its subscriptions, and what a refusal means."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from edge_agent.config import Config
from edge_agent.errors import AgentError, BrokerRefused, BrokerUnavailable
from edge_agent.log import LOGGER
from edge_agent.state import SessionState, read_session, write_session
from edge_agent.transport.base import Delivered, SessionStarted, Subscribed, Transport
from edge_agent.types import Publication
from edge_agent.wire.inbound import Identity

PERSON_MUST_ACT = {0x87, 0x90, 0x99}
"""PUBACK: not authorized, topic name invalid, payload format invalid."""


@dataclass(frozen=True)
class SessionKeeper:
    """Ids are stable within a session of the broker, and differ between sessions."""

    config: Config
    state_dir: Path

    @property
    def _whom(self) -> str:
        """Who we are to the broker's access list."""
        name = self.config.mqtt.username
        return "clients without a user name" if name is None else f"user {name!r}"

    def begin(self, signal: SessionStarted, transport: Transport) -> Identity:
        """Subscribes, drops filters no longer configured, and names the session."""
        kept = read_session(self.state_dir)
        if signal.resumed and kept is not None:
            wanted = set(self.config.filters)
            transport.unsubscribe(tuple(name for name in kept.filters if name not in wanted))
        transport.subscribe(self.config.filters)
        LOGGER("edge_agent").info(
            "connected",
            broker=f"{self.config.mqtt.host}:{self.config.mqtt.port}",
            mqtt=signal.protocol,
            session="resumed" if signal.resumed else "new",
        )
        if signal.resumed:
            name = kept.name if kept else self.config.client_id
        else:
            name = secrets.token_hex(8)
        return self._keep(SessionState(name, self.config.filters), kept)

    def _keep(self, state: SessionState, kept: SessionState | None) -> Identity:
        try:
            if state != kept:
                write_session(self.state_dir, state)
        except OSError as error:
            LOGGER("edge_agent").warning(
                "session name not kept; ids may repeat after the broker loses our session",
                problem=f"paths.state_dir {self.state_dir}: {error.strerror}",
                fix=f"make {self.state_dir} writable for this user, or set paths.state_dir",
            )
            return Identity(self.config.client_id)
        return Identity(state.name)

    def check_subscribed(self, signal: Subscribed) -> None:
        """BrokerRefused when the broker lets us read less than configured."""
        for name, refusal in zip(self.config.filters, signal.refusals, strict=False):
            if refusal is not None:
                raise BrokerRefused(
                    f"the broker refused our subscription to {name}: {refusal}",
                    f"let {self._whom} read {name} in the broker's ACL, then start again",
                )

    def puback_overdue(self, sent_s: float | None, now_s: float) -> BrokerUnavailable | None:
        """What it means that the oldest publish without PUBACK was sent so long ago."""
        limit_s = self.config.mqtt.puback_timeout_s
        if sent_s is None or now_s - sent_s <= limit_s:
            return None
        return BrokerUnavailable(
            f"the broker has not acknowledged a publish within {limit_s:g} s",
            "check the broker's load and log, or raise mqtt.puback_timeout_s",
        )

    def publish_refused(self, signal: Delivered, publication: Publication) -> AgentError:
        """What a PUBACK with a failure means: a person must act, or try again later."""
        problem = f"the broker refused our publish to {publication.topic}: {signal.reason_name}"
        if signal.reason not in PERSON_MUST_ACT:
            return BrokerUnavailable(problem, "see the broker's log and quotas")
        return BrokerRefused(
            problem,
            f"let {self._whom} write {self.config.prefix}/# and "
            f"{self.config.reply_prefix}/# in the broker's ACL, then start again",
        )

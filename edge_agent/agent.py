"""The program: one loop, one inbox. Deliveries in, events out, and only then their PUBACKs.

    Arrived → ledger → messages → batch → predictions → events → outbox → Delivered → ack

Only this loop touches ledger, batch and outbox; the network thread and signal handlers only put
signals into the inbox.
"""

from __future__ import annotations

from edge_agent import __version__
from edge_agent.acks import AckLedger
from edge_agent.config import Config
from edge_agent.errors import SessionTakenOver, SetupError
from edge_agent.every import Every
from edge_agent.health import InHand, health_report
from edge_agent.intake import messages_of
from edge_agent.log import LOGGER
from edge_agent.metrics import Metrics
from edge_agent.outbox import Outbox
from edge_agent.reload import Reloader, Supply
from edge_agent.results import Results
from edge_agent.session import SessionKeeper
from edge_agent.standing import Standing
from edge_agent.surroundings import Surroundings
from edge_agent.transport import base
from edge_agent.types import Delivery, JsonObject, Operation
from edge_agent.wire.inbound import Identity, Rejection
from edge_agent.wire.outbound import Writer
from edge_agent.work import work_for

OUTBOUND_WINDOW = 64
"""Publishes without PUBACK at one time, where the broker's Receive Maximum permits more."""
SIGNALS_A_TURN = 512
LONGEST_WAIT_S = 5.0


class Agent:
    """See the module. ``run`` returns after a clean stop and raises on everything else."""

    def __init__(
        self,
        config: Config,
        supply: Supply,
        transport: base.Transport,
        surroundings: Surroundings,
    ) -> None:
        self.config = config
        self.inbox = base.Inbox(config.limits.max_lossy_messages, config.limits.max_unacked_bytes)
        self._transport = transport
        self._keeper = SessionKeeper(config, surroundings.state_dir)
        self._notifier = surroundings.notifier
        self._clock = surroundings.clock
        self._now_s = self._clock.monotonic()
        self._metrics = Metrics(self._now_s)
        self._ledger = AckLedger()
        self._outbox = Outbox()
        self._writer = Writer(config.prefix, config.output.text, config.output.dead_letter_payload)
        self._results = Results(self._writer, self._outbox, self._metrics)
        self._work = work_for(config, supply.fleet, self._results, surroundings)
        self._reloader = Reloader(supply, self._work, surroundings)
        report = health_report(self._metrics, surroundings)
        self._standing = Standing(self._writer, report, self._work, self._reloader)
        self._identity = Identity(config.client_id)
        self._session: base.SessionStarted | None = None
        self._ready = self._said_stopped = False
        self._stop_by_s: float | None = None
        self._watchdog = Every(surroundings.watchdog_s)
        self._health_due = Every(config.health.interval_s)
        self._look_due = Every(config.reload.watch_s)
        self._log = LOGGER("edge_agent")

    def run(self) -> None:
        """Works until stopped. SetupError when a person must act; anything else is a bug."""
        self._transport.start(self.inbox)
        while not self._stopped():
            self._take_signals()
            self._run_models()
            self._acknowledge()
            self._send()
            self._keep_time()
        self._transport.stop(self._stop_left_s())
        self._reloader.stop(self._stop_left_s())

    # signals

    def _take_signals(self) -> None:
        for turn in range(SIGNALS_A_TURN):
            signal = self.inbox.get(0 if turn else self._idle_s())
            self._now_s = self._clock.monotonic()
            if signal is None:
                return
            self._handle(signal)
            if self._watchdog.due_in_s(self._now_s) == 0:
                return  # arrays of a thousand bad items may take seconds each

    def _handle(self, signal: base.Signal) -> None:
        """``LossyArrived`` only wakes the loop: the next batch takes what fits."""
        match signal:
            case base.Arrived(delivery):
                self._arrived(delivery)
            case base.Delivered():
                self._delivered(signal)
            case base.SessionStarted():
                self._session_started(signal)
            case base.Subscribed():
                self._subscribed(signal)
            case base.SessionEnded():
                self._session_ended(signal)
            case base.Crashed(error):
                raise error
            case _:
                self._handle_wish(signal)

    def _handle_wish(self, signal: base.Signal) -> None:
        """What people and other threads of this process ask for or tell."""
        match signal:
            case base.CredentialsSeen():
                self._standing.report.tls.hear(signal)
            case base.Asked(answer):
                answer(self._health())
            case base.Stop(reason):
                self._begin_stop(reason)
            case base.Reload(reason) if self._stop_by_s is None:
                self._reloader.ask(reason, self.inbox)
                self._transport.look_again()
            case base.ReloadEnded() if self._stop_by_s is None:
                self._reloader.conclude(self.inbox)
                self._outbox.add(self._standing.state("online"))

    def _arrived(self, delivery: Delivery) -> None:
        if self._stop_by_s is not None:
            return  # not acknowledged: the broker keeps it for the next start
        entry = self._ledger.arrive(delivery)
        if entry is None:
            self._metrics.count("redelivered")
            return
        self._metrics.received(self._now_s)
        parts = messages_of(entry.delivery, self.config, self._identity)
        if isinstance(parts, str):
            self._metrics.count(parts)
            return
        entry.outstanding = len(parts)
        for part in parts:
            if isinstance(part, Rejection):
                self._results.reject(part, entry)
            elif part.operation is Operation.HEALTH:
                self._results.reply(part, self._health(), entry)
            elif part.operation is Operation.RELOAD:
                self._reloader.ask_by_message(part, entry, self.inbox)
            else:
                self._work.add(part, entry)

    def _delivered(self, signal: base.Delivered) -> None:
        if self._session is None or signal.epoch != self._session.epoch:
            return
        publication = self._outbox.in_flight(signal.mid)
        if publication is None:
            return
        if not signal.refused:
            self._metrics.delivered(self._now_s, heard=signal.heard)
            self._outbox.confirm(signal.mid)
            return
        error = self._keeper.publish_refused(signal, publication)
        if isinstance(error, SetupError):
            raise error
        self._transport.reconnect(error)

    # sessions

    def _session_started(self, signal: base.SessionStarted) -> None:
        self._session = signal
        self._ledger.session_started(resumed=signal.resumed)
        self._results.max_packet_bytes = signal.max_packet_bytes
        self._outbox.restart(min(signal.receive_maximum, OUTBOUND_WINDOW))
        self._outbox.add_first(self._standing.state("online"))
        self._identity = self._keeper.begin(signal, self._transport)
        self._metrics.count("connects")

    def _subscribed(self, signal: base.Subscribed) -> None:
        self._keeper.check_subscribed(signal)
        self._become_ready("subscribed")

    def _session_ended(self, signal: base.SessionEnded) -> None:
        self._session = None
        if isinstance(signal.error, SetupError):
            raise signal.error
        if signal.error is not None:
            self._metrics.count("disconnects")
            self._metrics.count("takeovers", isinstance(signal.error, SessionTakenOver))
            self._log.warning("not connected", **signal.error.fields, retry_in_s=signal.retry_in_s)
            self._become_ready("waiting for the broker")

    def _become_ready(self, status: str) -> None:
        """The model is loaded and the broker tried once: an absent broker is no failed start."""
        if not self._ready:
            self._ready = True
            self._notifier.ready()
            self._log.info("ready", bundle=self._work.fleet.card.name, version=__version__)
        self._notifier.status(status)

    # the models

    def _run_models(self) -> None:
        self._take_lossy()
        stopping = self._stop_by_s is not None
        if self._may_work() and (stopping or self._work.due_in_s() == 0):
            self._work.run(flush=stopping)
        elif self._may_shadow():
            self._work.run_shadow()

    def _may_shadow(self) -> bool:
        """When all else is done, and all events are with the broker."""
        at_rest = not (self._outbox or self._work or self.inbox.lossy or self._stop_by_s)
        return at_rest and self._work.shadow_waits

    def _may_work(self) -> bool:
        """Not before READY (systemd aborts no hang before), nor while results pile up."""
        limit = OUTBOUND_WINDOW + 2 * self.config.batch.max_messages
        return self._ready and len(self._outbox) < limit

    def _take_lossy(self) -> None:
        """QoS 0 fills what room the batch has; the rest waits where the newest win."""
        while self.inbox.lossy and self._may_work() and self._work.has_room:
            self._arrived(self.inbox.take_lossy())

    def _acknowledge(self) -> None:
        for delivery in self._ledger.release() if self._session else ():
            self._transport.ack(delivery)

    def _send(self) -> None:
        if session := self._session:
            self._outbox.send(lambda p: self._transport.publish(p, session.epoch), self._now_s)

    def _idle_s(self) -> float:
        """How long nothing needs doing unless a signal comes."""
        waits = [LONGEST_WAIT_S]
        if (due_in_s := self._work.due_in_s()) is not None and self._may_work():
            waits.append(due_in_s)
        if (self.inbox.lossy and self._may_work()) or self._may_shadow():
            waits.append(0.0)
        waits.append(self._watchdog.due_in_s(self._now_s))
        if self._stop_by_s is not None:
            waits.append(self._stop_by_s - self._now_s)
        else:
            waits.append(self._look_due.due_in_s(self._now_s))
            if self._session is not None:
                waits.append(self._health_due.due_in_s(self._now_s))
        return max(0.0, min(waits))

    def _keep_time(self) -> None:
        self._now_s = self._clock.monotonic()
        if self._watchdog.is_due(self._now_s):
            self._notifier.alive()
        if self._stop_by_s is not None:
            return
        if self._look_due.is_due(self._now_s):
            self._reloader.look(self.inbox)
        if self._session is None:
            return
        if self._health_due.is_due(self._now_s):
            self._results.say(self._writer.health(self._health()))
            self._send()
        self._check_pubacks()

    def _check_pubacks(self) -> None:
        if error := self._keeper.puback_overdue(self._outbox.oldest_sent_s(), self._now_s):
            self._transport.reconnect(error)
            self._session = None

    def _health(self) -> JsonObject:
        protocol = self._session.protocol if self._session else ""
        depths = len(self._ledger), len(self._work), len(self._outbox)
        oldest_s = self._ledger.oldest_received_s()
        return self._standing.health(InHand(protocol, *depths, self.inbox.dropped, oldest_s))

    def _begin_stop(self, reason: str) -> None:
        if self._stop_by_s is not None:
            self._stop_by_s = self._now_s  # asked twice: at once
            return
        self._stop_by_s = self._now_s + self.config.limits.stop_timeout_s
        self._notifier.stopping()
        self._reloader.give_up()
        self._log.info("stopping", reason=reason, in_hand=len(self._ledger))

    def _stop_left_s(self) -> float:
        return max(0.0, (self._stop_by_s or 0.0) - self._clock.monotonic())

    def _stopped(self) -> bool:
        """Whether a stop was asked for and all in hand is done, or its time is over."""
        if self._stop_by_s is None:
            return False
        over = self._session is None or self._now_s >= self._stop_by_s
        if not over and (len(self._work) or len(self._outbox)):
            return False
        if not self._said_stopped:
            self._said_stopped = True
            self._outbox.add_first(self._standing.state("stopped"))
            self._send()
        return over or not len(self._outbox)

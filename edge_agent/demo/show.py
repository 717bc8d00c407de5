"""Puts the demo together: broker and agent as processes, site and view in this one."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType

from edge_agent.bundle import Bundle, load_bundle
from edge_agent.demo import DemoOptions
from edge_agent.demo.broker import HOST, DemoBroker, start_broker
from edge_agent.demo.children import Children, DemoError, vanishing_folder
from edge_agent.demo.site import Site
from edge_agent.demo.tally import Tally
from edge_agent.demo.views import Setting, View, choose_view, say
from edge_agent.errors import SetupError
from edge_agent.transport.address import BrokerAddress
from edge_agent.transport.base import (
    Arrived,
    Crashed,
    Inbox,
    SessionEnded,
    SessionStarted,
    Signal,
    Stop,
)
from edge_agent.transport.paho import PahoTransport
from edge_agent.types import Delivery, JsonObject, Publication

PREFIX = "edge/demo"
FILTERS = (f"{PREFIX}/event/#", f"{PREFIX}/error", f"{PREFIX}/state")
CLIENT_ID = "demo-view"
WRITER = "writer"
WRITTEN_ABOUT = ("fault", "maintenance")
"""Routes with a second stage, where there is a bundle that writes."""
AGENT_TIMEOUT_S = 60.0
DRAIN_S = 5.0
TICK_S = 0.1
STOP_TIMEOUT_S = 1.0
MAX_LOSSY_MESSAGES = 100


@dataclass(frozen=True)
class Parts:
    """What runs beside the demo's own process."""

    children: Children
    broker: DemoBroker
    setting: Setting


def show(options: DemoOptions) -> int:
    """Runs until its time is over, or a signal comes. DemoError when a part is missing."""
    demo = Demo(choose_view(as_json=options.json))
    bundle = options.bundle.absolute()
    loaded = load_bundle(bundle)
    writer = load_bundle(options.writer.absolute()) if options.writer else None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, demo.stop)
    with vanishing_folder() as folder, Children() as children:
        broker = start_broker(children, folder)
        config = write_config(folder, broker, loaded, writer)
        command = [sys.executable, "-m", "edge_agent", "run", "--config", str(config)]
        children.start("agent", command, folder / "agent.log")
        demo.run(
            Parts(children, broker, Setting(broker.name, named(loaded, writer))),
            options.seconds,
        )
    return 0


def named(*bundles: Bundle | None) -> str:
    """Names and versions."""
    return ", ".join(f"{one.card.name} {one.card.version}" for one in bundles if one)


def write_config(folder: Path, broker: DemoBroker, bundle: Bundle, writer: Bundle | None) -> Path:
    """The agent's configuration: only what differs from the defaults."""
    sections: dict[str, JsonObject] = {
        "[gateway]": {"id": "demo"},
        "[mqtt]": {"host": HOST, "port": broker.port, "protocol": broker.protocol},
        "[[source]]": {"filter": "site/#"},
        "[model]": {"bundle": str(bundle.path)},
        "[paths]": {"state_dir": str(folder / "state"), "runtime_dir": str(folder / "run")},
    }
    if writer:
        sections[f"[specialists.{WRITER}]"] = {"bundle": str(writer.path)}
        known = [route for route in WRITTEN_ABOUT if route in bundle.manifest.routes]
        sections |= {f"[routes.{route}]": {"specialist": WRITER} for route in known}
    lines = []
    for header, keys in sections.items():
        # JSON's strings and numbers are TOML's too.
        lines += [header, *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    path = folder / "edge-agent.toml"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


class Demo:
    """Publishes what the site says, and shows what comes of it."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._inbox = Inbox(MAX_LOSSY_MESSAGES)
        self._tally = Tally(time.monotonic())
        self._epoch = 0
        self._online = False
        self._stopping = False
        self._children = Children()

    def stop(self, number: int, _frame: FrameType | None = None) -> None:
        """A signal handler: ends the demo soon."""
        self._inbox.put(Stop(signal.Signals(number).name))

    def run(self, parts: Parts, seconds: float | None) -> None:
        """Waits for the agent, then publishes for so many seconds, or until stopped."""
        self._children = parts.children
        broker = parts.broker
        transport = PahoTransport(
            BrokerAddress(HOST, broker.port, CLIENT_ID, protocol=broker.protocol)
        )
        self._transport = transport
        transport.start(self._inbox)
        try:
            self._await_agent()
            self._tally.started_s = time.monotonic()
            if not self._stopping:
                self._show(parts.setting, seconds)
        finally:
            transport.stop(STOP_TIMEOUT_S)
        say(f"edge-agent demo: {self._tally.summary(time.monotonic())}")

    def _await_agent(self) -> None:
        if not self._until(lambda: self._online, AGENT_TIMEOUT_S):
            raise DemoError(
                f"the demo's agent was not ready within {AGENT_TIMEOUT_S:g} s",
                "try again with less load on this machine",
            )

    def _show(self, setting: Setting, seconds: float | None) -> None:
        self._view.start(setting, self._tally)
        try:
            self._publish(seconds)
            self._until(lambda: not self._tally.outstanding, DRAIN_S)
        finally:
            self._view.close()

    def _publish(self, seconds: float | None) -> None:
        """What the site says, when it says it."""
        site = Site(random.SystemRandom().getrandbits(32))
        end_s = None if seconds is None else self._tally.started_s + seconds
        while not self._stopping:
            message = site.next(datetime.now().astimezone())
            now_s = time.monotonic()
            sent = Publication(message.topic, message.payload.encode(), "text/plain")
            if self._transport.publish(sent, self._epoch) is not None:
                self._tally.count_sent(message.topic, now_s)
            left_s = message.pause_s if end_s is None else min(message.pause_s, end_s - now_s)
            self._until(lambda: False, left_s)
            if end_s is not None and time.monotonic() >= end_s:
                return

    def _until(self, done: Callable[[], bool], limit_s: float) -> bool:
        """Handles signals until done, stopped or out of time; whether it is not out of time."""
        end_s = time.monotonic() + limit_s
        while not done() and not self._stopping:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return False
            received = self._inbox.get(min(TICK_S, left_s))
            if received is not None:
                self._handle(received)
            self._children.check()
            self._view.refresh(time.monotonic())
        return True

    def _handle(self, received: Signal) -> None:
        match received:
            case Arrived(delivery):
                self._arrived(delivery)
                self._transport.ack(delivery)
            case SessionStarted(epoch):
                self._epoch = epoch
                self._transport.subscribe(FILTERS)
            case SessionEnded(_, SetupError() as error):
                raise error
            case Crashed(error):
                raise error
            case Stop():
                self._stopping = True
            case _:
                pass  # our own publishes need no confirmation, the tally counts events

    def _arrived(self, delivery: Delivery) -> None:
        body = json.loads(delivery.payload)
        now_s = time.monotonic()
        if delivery.topic == f"{PREFIX}/state":
            self._online = body["state"] == "online"
        elif delivery.topic == f"{PREFIX}/error":
            self._tally.count_refusal(body, now_s)
        else:
            latency_ms = self._tally.count_event(body, now_s)
            if latency_ms is not None:
                self._view.event(body, latency_ms)

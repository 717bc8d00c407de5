"""What happens to the agent, the network and the broker while numbered messages flow."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.settings import default_bundle
from tests.support.agent_process import AgentProcess
from tests.support.broker import Broker, BrokerOptions
from tests.support.reliability import KillPlan, Traffic, Verdict, judge, prepare_agent, run_kills
from tests.support.reloads import ReloadRun, Shelf
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

SHARE = 60
"""Messages sent for each disturbance."""
IN_HAND = 24
"""Fewer than the window that the agent announces, so that all of them reach it."""
IMPATIENT = {"keepalive_s": 5, "puback_timeout_s": 4, "connect_timeout_s": 4}
LONGEST_PAUSE_S = 9.0
RECOVERY_S = 60.0
WINDOW_RELOADS = 24
GROWTH_MIB = 5e6 / 2**20


@dataclass(frozen=True)
class Setting:
    """What a scenario runs with."""

    folder: Path
    bundle: Path | None
    times: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    """The verdict on a scenario. ``excused``: messages that a dying broker may have lost."""

    verdict: Verdict
    times: int
    in_flight: int
    excused: frozenset[int] = field(default=frozenset())
    growth_mib: float = 0.0

    def require(self) -> None:
        """AssertionError when the agent has broken its promise."""
        assert self.growth_mib <= GROWTH_MIB, f"memory grew by {self.growth_mib:.1f} MiB"
        if not self.excused:
            self.verdict.require()
            return
        verdict = self.verdict
        guilty = [number for number in verdict.lost if number not in self.excused]
        assert not guilty, f"lost although the broker had not died with them: {guilty}"
        assert not verdict.shared_ids, f"ids of several messages: {verdict.shared_ids}"


class Rig:
    """Broker, agent and traffic, with proxies before agent and sender; ends all of it."""

    def __init__(self, setting: Setting, options: BrokerOptions, **mqtt: object) -> None:
        self._stack = ExitStack()
        self.random = random.Random(setting.seed)
        (setting.folder / "broker").mkdir(parents=True)
        self.broker = Broker(setting.folder / "broker", options).start()
        self._stack.callback(self.broker.kill)
        self.proxy = self._stack.enter_context(TcpProxy(self.broker.port))
        self.agent: AgentProcess = prepare_agent(
            setting.folder / "agent", self.proxy.port, setting.bundle, mqtt=mqtt
        )
        self._stack.callback(self.agent.close)
        self.sender_proxy = self._stack.enter_context(TcpProxy(self.broker.port))
        traffic = Traffic(self.broker, self.sender_proxy.port)
        self.traffic = self._stack.enter_context(traffic)
        self.disturbed = 0
        self.in_flight = 0

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def disturb(self, how: Callable[[], object], hopeless: int = 0) -> frozenset[int]:
        """Sends messages and disturbs while some of them have no event yet. Returns these.

        ``hopeless`` older messages are lost, or as good as that.
        """
        traffic = self.traffic
        traffic.send(SHARE)
        traffic.wait_until_unanswered(hopeless + self.random.randint(SHARE // 4, SHARE))
        unanswered = frozenset(traffic.sent) - traffic.seen
        how()
        self.disturbed += 1
        self.in_flight += bool(unanswered)
        return unanswered

    def finish(self, excused: frozenset[int] = frozenset()) -> Outcome:
        """Lets the agent work off what is left, ends it, and judges."""
        self.traffic.wait_until_unanswered(len(self.lost(excused)))
        assert self.agent.stop() == 0, self.agent.stderr[-3000:]
        self.traffic.flush()
        verdict = judge(self.traffic.sent, self.traffic.records(), sent_twice=excused)
        return Outcome(verdict, self.disturbed, self.in_flight, excused)

    def lost(self, excused: frozenset[int]) -> frozenset[int]:
        """Excused messages that have no event so far."""
        return excused - self.traffic.seen

    def restart_broker(self, *, kill: bool, wake: Callable[[], object] = lambda: None) -> None:
        """Ends the broker. Then collector, agent and sender come back, each fully, in this order.

        So nothing is published that a broker without memory would drop for want of a subscriber.
        """
        collector, sender = self.traffic.collector, self.traffic.sender
        collected, sent = collector.connects, sender.connects
        self.proxy.shut()
        self.sender_proxy.shut()
        self.broker.restart(kill=kill)
        collector.wait_until_back(collected, RECOVERY_S)
        self.agent.notify.clear()
        wake()
        self.proxy.open()
        self._wait_until_subscribed()
        self.sender_proxy.open()
        sender.wait_until_back(sent, RECOVERY_S)

    def _wait_until_subscribed(self) -> None:
        wait_until(
            lambda: "STATUS=subscribed" in self.agent.notify.lines,
            RECOVERY_S,
            lambda: f"the agent's subscription:\n{self.agent.stderr[-3000:]}",
        )


def kills(setting: Setting) -> Outcome:
    """The agent killed with SIGKILL and started again."""
    with Rig(setting, BrokerOptions()) as rig:
        plan = KillPlan(setting.times, setting.times * SHARE, setting.seed)
        result = run_kills(rig.traffic, rig.agent, plan)
        return Outcome(result.verdict, result.kills, result.kills_in_flight)


def cuts(setting: Setting) -> Outcome:
    """The agent's TCP connection reset."""
    with Rig(setting, BrokerOptions(), max_reconnect_wait_s=1) as rig:
        rig.agent.start()
        for _ in range(setting.times):
            rig.disturb(rig.proxy.cut)
        return rig.finish()


def pauses(setting: Setting) -> Outcome:
    """The broker stopped with SIGSTOP for up to 9 s, which is longer than the agent waits."""
    with Rig(setting, BrokerOptions(), **IMPATIENT) as rig:
        rig.agent.start()

        def pause() -> None:
            rig.broker.pause()
            time.sleep(rig.random.uniform(0.2, LONGEST_PAUSE_S))
            rig.broker.resume()

        for _ in range(setting.times):
            rig.disturb(pause)
        return rig.finish()


def clean_restarts(setting: Setting) -> Outcome:
    """The broker stopped with SIGTERM and started again, with persistence."""
    return _restarts(setting, BrokerOptions(persistence=True, autosave_changes=100))


def forgetful_restarts(setting: Setting) -> Outcome:
    """The broker restarted without persistence, in the work: its queue is gone."""
    return _restarts(setting, BrokerOptions())


def idle_forgetful_restarts(setting: Setting) -> Outcome:
    """The broker restarted without persistence, after each share is done: nothing may lack."""
    with Rig(setting, BrokerOptions(), max_reconnect_wait_s=1) as rig:
        rig.agent.start()
        for _ in range(setting.times):
            rig.traffic.send(SHARE)
            rig.traffic.wait_until_unanswered(0)
            rig.restart_broker(kill=False)
            rig.disturbed += 1
        rig.traffic.send(SHARE)
        return rig.finish()


def restarts_with_messages_in_hand(setting: Setting) -> Outcome:
    """The broker restarted without persistence, all it had being with the agent: nothing may lack.

    The agent is held with SIGSTOP while the messages reach it and the broker forgets them.
    """
    with Rig(setting, BrokerOptions(), max_reconnect_wait_s=1) as rig:
        rig.agent.start()
        for _ in range(setting.times):
            os.kill(rig.agent.pid, signal.SIGSTOP)
            rig.traffic.send(IN_HAND)
            rig.traffic.sender.wait_until_acknowledged(RECOVERY_S)
            rig.in_flight += 1
            rig.disturbed += 1
            rig.restart_broker(kill=False, wake=lambda: os.kill(rig.agent.pid, signal.SIGCONT))
            rig.traffic.wait_until_unanswered(0)
        return rig.finish()


def broker_kills_1(setting: Setting) -> Outcome:
    """The broker killed with SIGKILL, autosave_on_changes with autosave_interval 1."""
    options = BrokerOptions(persistence=True, autosave_changes=1)
    return _restarts(setting, options, kill=True)


def broker_kills_100(setting: Setting) -> Outcome:
    """The broker killed with SIGKILL, autosave_on_changes with autosave_interval 100."""
    options = BrokerOptions(persistence=True, autosave_changes=100)
    return _restarts(setting, options, kill=True)


def _restarts(setting: Setting, options: BrokerOptions, *, kill: bool = False) -> Outcome:
    """Restarts the broker in the work. What it had in hand may be lost unless it wrote it down.

    Messages sent once agent and collector are subscribed again are not excused.
    """
    safe = options.persistence and not kill
    excused: frozenset[int] = frozenset()
    with Rig(setting, options, max_reconnect_wait_s=1) as rig:
        rig.agent.start()
        for _ in range(setting.times):
            hopeless = 0 if safe else rig.traffic.unanswered
            excused |= rig.disturb(lambda: rig.restart_broker(kill=kill), hopeless)
        rig.traffic.settle()
        outcome = rig.finish(frozenset(excused))
    return Outcome(outcome.verdict, outcome.times, outcome.in_flight) if safe else outcome


def reloads(setting: Setting) -> Outcome:
    """Bundles reloaded: good, damaged, misrecorded, too large, unsigned. Memory must not grow."""
    with ExitStack() as stack:
        (setting.folder / "broker").mkdir(parents=True)
        broker = Broker(setting.folder / "broker", BrokerOptions()).start()
        stack.callback(broker.kill)
        shelf = Shelf(setting.folder / "shelf", setting.bundle or default_bundle())
        agent = stack.enter_context(closing(shelf.agent(setting.folder / "agent", broker.port)))
        traffic = stack.enter_context(Traffic(broker))
        agent.start()
        run = ReloadRun(traffic, agent, shelf)
        run.run(setting.times)
        assert agent.stop() == 0, agent.stderr[-3000:]
        traffic.flush()
        verdict = judge(traffic.sent, traffic.records())
        growth_mib = run.growth_mib(min(WINDOW_RELOADS, setting.times // 2))
        print(f"RSS after each reload, MiB: {[round(rss) for rss in run.rss_mib]}")
        print(f"grew by {growth_mib:.1f} MiB", flush=True)
        return Outcome(verdict, setting.times, run.in_flight, growth_mib=growth_mib)


SCENARIOS: dict[str, tuple[Callable[[Setting], Outcome], int]] = {
    "agent, SIGKILL": (kills, 1000),
    "agent, bundle reloaded": (reloads, 200),
    "network, connection reset": (cuts, 100),
    "broker, SIGSTOP up to 9 s": (pauses, 20),
    "broker restart, persistence": (clean_restarts, 20),
    "broker restart, no persistence, between messages": (idle_forgetful_restarts, 20),
    "broker restart, no persistence, messages in hand": (restarts_with_messages_in_hand, 20),
    "broker restart, no persistence, under load": (forgetful_restarts, 20),
    "broker SIGKILL, autosave 1": (broker_kills_1, 20),
    "broker SIGKILL, autosave 100": (broker_kills_100, 20),
}
"""Name in the table, scenario, and how many times by default."""

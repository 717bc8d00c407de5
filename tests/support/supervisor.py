"""What systemd does for a service with a watchdog, for tests."""

from __future__ import annotations

import os
import signal
import time

from tests.support.agent_process import AgentProcess
from tests.support.waiting import wait_until

FEED_EVERY_S = 0.2
SILENCE_S = 2.0
"""Ten missed datagrams: no busy machine explains that."""
PATIENCE_S = 30.0


class Supervisor:
    """Starts the agent with a watchdog; ends a silent one by SIGABRT, as WatchdogSignal= does."""

    def __init__(self, agent: AgentProcess) -> None:
        self.agent = agent
        agent.environment["WATCHDOG_USEC"] = str(round(FEED_EVERY_S * 2e6))

    def start(self) -> None:
        """Starts a process; it need not become ready."""
        self.agent.start(wait=False)

    def wait_silent(self) -> None:
        """Until the watchdog, armed by READY=1, has not been fed for a while."""
        fed, since_s = 0, time.monotonic()

        def silent() -> bool:
            nonlocal fed, since_s
            assert self.agent.process.poll() is None, self.agent.stderr
            count = self.agent.notify.lines.count("WATCHDOG=1")
            if count != fed or not self.agent.ready:
                fed, since_s = count, time.monotonic()
            return self.agent.ready and time.monotonic() - since_s > SILENCE_S

        wait_until(silent, PATIENCE_S, lambda: f"a silent watchdog:\n{self.agent.stderr}")

    def abort(self) -> None:
        """What systemd sends when the watchdog was not fed."""
        os.kill(self.agent.pid, signal.SIGABRT)
        assert self.agent.wait_exit() == -signal.SIGABRT

"""What systemd does for a service with a watchdog, for tests."""

from __future__ import annotations

import os
import signal

from tests.support.agent_process import AgentProcess
from tests.support.waiting import PATIENCE_S, wait_until

FEED_EVERY_S = 0.2
SILENT_LOOKS = 200
"""So often in a row nothing was heard, at 10 ms from one look to the next or more: ten datagrams
are missing. Looks are counted, not seconds: who looks is slow on a busy machine, and it may stand
still as a whole.
"""


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
        fed = looks = 0

        def silent() -> bool:
            nonlocal fed, looks
            assert self.agent.process.poll() is None, self.agent.stderr
            count = self.agent.notify.lines.count("WATCHDOG=1")
            looks = looks + 1 if count == fed and self.agent.ready else 0
            fed = count
            return looks > SILENT_LOOKS

        wait_until(silent, PATIENCE_S, lambda: f"a silent watchdog:\n{self.agent.stderr}")

    def abort(self) -> None:
        """What systemd sends when the watchdog was not fed."""
        os.kill(self.agent.pid, signal.SIGABRT)
        assert self.agent.wait_exit() == -signal.SIGABRT

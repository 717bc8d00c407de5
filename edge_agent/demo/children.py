"""Child processes and files that go with the demo, however the demo ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from edge_agent.errors import SetupError

STOP_TIMEOUT_S = 5.0
TAIL_CHARS = 1500
TETHER = Path(__file__).with_name("tether.py")


class DemoError(SetupError):
    """The demo lacks something a person must provide, or a part of it did not start."""


@contextmanager
def vanishing_folder() -> Iterator[Path]:
    """A temporary folder, removed when the block ends, or when this process does.

    A shell waits at a pipe whose other end only we hold: the kernel closes it even when we are
    killed. Folders without such a keeper would pile up.
    """
    folder = Path(tempfile.mkdtemp(prefix="edge-agent-demo-"))
    with subprocess.Popen(
        ["/bin/sh", "-c", 'cat; exec rm -rf -- "$1"', "sh", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ):
        yield folder


class Child:
    """One process in a session of its own, so that Ctrl-C reaches only the demo."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(TETHER), str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    @property
    def output(self) -> str:
        """The end of what it has written."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-TAIL_CHARS:].strip()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that does not help in time."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Children:
    """All children, ended in the reverse order of their start."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in reversed(self._children):
            child.stop()

    def start(self, name: str, command: list[str], log: Path) -> Child:
        """A new child."""
        child = Child(name, command, log)
        self._children.append(child)
        return child

    def drop(self, child: Child) -> None:
        """Ends one that is no longer wanted."""
        self._children.remove(child)
        child.stop()

    def check(self) -> None:
        """DemoError when one of them has ended."""
        for child in self._children:
            if child.exit_code is not None:
                raise DemoError(
                    f"the demo's {child.name} ended with status {child.exit_code}: {child.output}",
                    "mend what it says above; `edge-agent infer` works without a broker",
                )

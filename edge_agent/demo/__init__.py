"""The demo: a broker, the agent as a real process, a simulated site, and a view of its events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DemoOptions:
    """``seconds`` None runs until Ctrl-C; ``json`` prints events instead of the screen.

    ``writer`` is the bundle that writes work orders about faults and maintenance, if any does.
    """

    bundle: Path
    seconds: float | None = None
    json: bool = False
    writer: Path | None = None


def run_demo(options: DemoOptions) -> int:
    """Shows the main job; the exit code. DemoError says what is missing."""
    from edge_agent.demo.show import show  # noqa: PLC0415 - the children of the demo start faster

    return show(options)

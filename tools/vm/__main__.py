"""``python -m tools.vm``: tries the arm64 package in a machine of each kind; renews docs/arm.md."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tools.errors import ToolError
from tools.vm import compare, machine, work

PAGE = Path(__file__).parents[2] / "docs/arm.md"
BLOCK = re.compile(r"(<!-- measured: arm -->\n).*?(<!-- end -->)", re.DOTALL)
CORES = {"cortex-a76": "Raspberry Pi 5", "cortex-a72": "Raspberry Pi 4"}


def main(arguments: list[str] | None = None) -> int:
    """0 when every step held on every core, 1 when one did not, 2 when a person must act."""
    top = argparse.ArgumentParser(prog="python -m tools.vm", description=__doc__)
    top.add_argument("--cpu", nargs="+", choices=CORES, default=list(CORES))
    top.add_argument("--compare-only", action="store_true", help="use what the last run left")
    options = top.parse_args(arguments)
    try:
        if not options.compare_only:
            run(options.cpu)
        return report(options.cpu)
    except ToolError as error:
        print(f"error: {error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return 2


def out_of(cpu: str) -> Path:
    """Where a run leaves its results."""
    return machine.cache() / cpu


def run(cpus: list[str]) -> None:
    """Boots a machine for each core, one after the other."""
    machine.prepare()
    with tempfile.TemporaryDirectory(dir=machine.cache()) as temporary:
        work.lay_out(Path(temporary))
        for cpu in cpus:
            print(f"== {cpu} ({CORES[cpu]}): see {out_of(cpu)}/console.log", flush=True)
            machine.boot(cpu, Path(temporary), out_of(cpu))


def report(cpus: list[str]) -> int:
    """Prints each step, compares with this machine, renews the page."""
    held = True
    rows = []
    here = json.loads(printed_here())
    for cpu in cpus:
        steps: list[dict[str, Any]] = json.loads((out_of(cpu) / "results.json").read_text())
        there = json.loads((out_of(cpu) / "logits.json").read_text())
        difference = compare.events(out_of(cpu) / "events.jsonl", work.texts())
        for step in [*steps, difference.as_step()]:
            held = held and bool(step["held"])
            print(f"{cpu} {'ok' if step['held'] else 'FAILED'} {step['step']}: {step['seen']}")
        rows.append(compare.row(cpu, CORES[cpu], compare.logits(here, there), difference))
    table = "\n".join([*compare.HEAD, *rows])
    page = PAGE.read_text("utf-8")
    PAGE.write_text(BLOCK.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page), "utf-8")
    return 0 if held else 1


def printed_here() -> str:
    """The logits as this machine's processor reckons them."""
    script = Path(__file__).parent / "guest/logits.py"
    shown = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(PAGE.parents[1])},
    )
    return shown.stdout


if __name__ == "__main__":
    sys.exit(main())

"""``python -m tools.vm``: tries the package in machines of several kinds; renews docs/arm.md."""

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
from tools.vm import compare, work
from tools.vm.machine import ARCHITECTURE, MACHINES, Machine, boot, prepare
from tools.vm.process import interrupt_when_told

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/arm.md"
BLOCK = re.compile(r"(<!-- measured: arm -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def main(arguments: list[str] | None = None) -> int:
    """0 when all held on every machine, 1 when not, 2 when a person must act, 130 interrupted."""
    interrupt_when_told()
    top = argparse.ArgumentParser(prog="python -m tools.vm", description=__doc__)
    top.add_argument("--machine", nargs="+", choices=MACHINES, default=list(MACHINES))
    top.add_argument("--report", action="store_true", help="report on the last runs, run nothing")
    options = top.parse_args(arguments)
    machines = [MACHINES[name] for name in options.machine]
    try:
        if not options.report:
            for machine in machines:
                run(machine)
        held = [report(machine) for machine in machines]
        renew_page(machines)
    except ToolError as error:
        print(f"error: {error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; no machine is left running", file=sys.stderr)
        return 130
    return 0 if all(held) else 1


def run(machine: Machine) -> None:
    """One machine, from its disk to its results."""
    prepare(machine)
    with tempfile.TemporaryDirectory(dir=machine.folder) as temporary:
        work.lay_out(Path(temporary), ARCHITECTURE)
        print(f"== {machine.core} ({machine.board}): see {machine.out}/console.log", flush=True)
        boot(machine, Path(temporary))


def report(machine: Machine) -> bool:
    """Prints each step and how the events compare with this machine's; whether all held."""
    results = machine.out / "results.json"
    if not results.is_file():
        raise ToolError(f"{results}: no such file", f"see {machine.out}/console.log")
    steps: list[dict[str, Any]] = json.loads(results.read_text())
    steps.append(compare.events(machine.out / "events.jsonl", len(work.texts())).as_step())
    for step in steps:
        mark = "ok" if step["held"] else "FAILED"
        print(f"{machine.core} {mark} {step['step']}: {step['seen']}")
    return all(step["held"] for step in steps)


def renew_page(machines: list[Machine]) -> None:
    """Their lines in the table of docs/arm.md, from the last run of each; others stay."""
    page, here = PAGE.read_text("utf-8"), json.loads(printed_here())
    lines = rows(page)
    for machine in machines:
        there = json.loads((machine.out / "logits.json").read_text())
        difference = compare.events(machine.out / "events.jsonl", len(work.texts()))
        figures = compare.logits(here, there)
        lines[machine.core] = compare.row(machine.core, machine.board, figures, difference)
    table = "\n".join([*compare.HEAD, *(lines[core] for core in MACHINES if core in lines)])
    PAGE.write_text(BLOCK.sub(lambda found: f"{found[1]}{table}\n{found[3]}", page), "utf-8")


def rows(page: str) -> dict[str, str]:
    """The lines of the table as it stands, by core."""
    found = BLOCK.search(page)
    lines = found[2].splitlines()[len(compare.HEAD) :] if found else []
    return {line.split("|")[1].strip(): line for line in lines}


def printed_here() -> str:
    """The logits as this machine's processor reckons them."""
    script = Path(__file__).parent / "guest/logits.py"
    shown = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    return shown.stdout


if __name__ == "__main__":
    sys.exit(main())

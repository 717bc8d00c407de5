"""Runs the scenarios, prints each verdict, and renews the table in docs/reliability.md."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.scenarios import SCENARIOS, Outcome, Setting
from tests.support.broker import mosquitto_version

PAGE = Path(__file__).parents[2] / "docs/reliability.md"
BLOCK = re.compile(r"(<!-- measured: soak -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD = (
    "| disturbance | Mosquitto | times | in work | sent | lost | copies "
    "| copies renamed | ids shared | out of order |"
)
RULE = "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"


def row(name: str, outcome: Outcome) -> str:
    verdict = outcome.verdict
    figures = (
        outcome.times,
        outcome.in_flight,
        verdict.sent,
        len(verdict.lost),
        verdict.duplicates,
        len(verdict.renamed),
        len(verdict.shared_ids),
        len(verdict.late),
    )
    return f"| {name} | {mosquitto_version()} | {' | '.join(f'{f:,}' for f in figures)} |"


def renew(page: str, rows: dict[str, str]) -> str:
    """Puts rows in, keeping those of scenarios that were not run now."""
    found = BLOCK.search(page)
    assert found, "docs/reliability.md has no block `measured: soak`"
    old = {line.split("|")[1].strip(): line for line in found[0].splitlines() if line[:1] == "|"}
    kept = {**old, **rows}
    table = "\n".join([HEAD, RULE, *(kept[name] for name in SCENARIOS if name in kept)])
    return BLOCK.sub(lambda block: f"{block[1]}{table}\n{block[2]}", page)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    parser.add_argument("--times", type=int, help="how often, instead of each one's own number")
    parser.add_argument("--bundle", type=Path, help="instead of the default bundle")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failed = []
    for name, (scenario, times) in SCENARIOS.items():
        if options.only not in name:
            continue
        began_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            number = options.times or times
            outcome = scenario(Setting(Path(folder), options.bundle, number, options.seed))
        line = row(name, outcome)
        print(line, f"{time.monotonic() - began_s:.0f} s", flush=True)
        try:
            outcome.require()
        except AssertionError as error:
            failed.append(name)
            print(f"FAILED {name}: {error}", flush=True)
        PAGE.write_text(renew(PAGE.read_text(), {name: line}))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())

"""``python -m tools.bench.generation.memory``: a process with one model, after one answer.

Prints what is resident, in MB: in all, and what is not mapped from files. A process of its own,
which imports only what the one program needs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

KEYS = {"rss_mb": "VmRSS", "anonymous_mb": "RssAnon", "peak_mb": "VmHWM"}
SHORT_TEXT = "pump P-101 is leaking since 06:40"
ANSWER_TOKENS = 64
"""That llama.cpp writes, behind as many of a prompt."""


def measured(kind: str, model: Path, threads: int, context: int) -> dict[str, float]:
    """What a fresh process says of itself."""
    command = [sys.executable, "-m", __name__, kind, str(model), str(threads), str(context)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(shown.stdout.splitlines()[-1])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.generation.memory")
    parser.add_argument("kind", choices=("ours", "llama"))
    parser.add_argument("model", type=Path)
    parser.add_argument("threads", type=int)
    parser.add_argument("context", type=int)
    options = parser.parse_args()
    kept = _ours(options) if options.kind == "ours" else _llama(options)
    status = Path("/proc/self/status").read_text().splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in status if line.endswith("kB")}
    print(json.dumps({name: kib[key] * 1024 / 1e6 for name, key in KEYS.items()}))
    del kept
    return 0


def _ours(options: argparse.Namespace) -> object:
    from edge_agent.bundle import load_bundle  # noqa: PLC0415
    from edge_agent.generator import load_writer  # noqa: PLC0415

    writer = load_writer(load_bundle(options.model), options.threads)
    writer.write(SHORT_TEXT)
    return writer


def _llama(options: argparse.Namespace) -> object:
    from tools.bench.generation.entrants import LlamaCpp  # noqa: PLC0415
    from tools.bench.generation.turns import FreeText  # noqa: PLC0415

    entrant = LlamaCpp(options.model, options.threads, options.context)
    FreeText(entrant).write(list(range(300, 300 + ANSWER_TOKENS)), ANSWER_TOKENS)
    return entrant


if __name__ == "__main__":
    sys.exit(main())

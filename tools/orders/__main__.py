"""``python -m tools.orders DIR``: our work orders as files, to evaluate with or to add to."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from tools.errors import ToolError
from tools.orders.corpus import TASK, held_out, pair_of
from tools.writing.pairs import Pair


def main(arguments: list[str] | None = None) -> int:
    """Writes ``train.jsonl``, ``dev.jsonl`` and ``task.json``; messages as people wrote them."""
    parser = argparse.ArgumentParser(prog="python -m tools.orders", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new folder")
    folder = parser.parse_args(arguments).folder
    try:
        ours, _, dev = held_out()
    except ToolError as error:
        print(f"error: {error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    for name, examples in (("train", ours), ("dev", dev)):
        write_pairs(folder / f"{name}.jsonl", map(pair_of, examples))
    shutil.copyfile(TASK, folder / "task.json")
    print(f"wrote {len(ours)} and {len(dev)} pairs into {folder}")
    return 0


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """As JSON Lines."""
    lines = (
        json.dumps({"text": pair.text, "output": pair.output}, ensure_ascii=False) for pair in pairs
    )
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

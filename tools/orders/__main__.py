"""``python -m tools.orders DIR``: our work orders as files, to evaluate with or to add to.

With ``--bundle``, also what the entities of an encoder give by the same rules, over dev.jsonl.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from edge_agent.bundle import load_bundle
from edge_agent.errors import BundleError
from tools.errors import ToolError
from tools.evaluation.fields import score_writing
from tools.orders.corpus import TASK, held_out, pair_of
from tools.orders.marked import orders_of
from tools.writing.pairs import Pair


def main(arguments: list[str] | None = None) -> int:
    """Writes ``train.jsonl``, ``dev.jsonl`` and ``task.json``; messages as people wrote them."""
    parser = argparse.ArgumentParser(prog="python -m tools.orders", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--bundle", type=Path, metavar="BUNDLE", help="an encoder to compare with")
    options = parser.parse_args(arguments)
    folder = options.folder
    try:
        ours, _, dev = held_out()
        outputs = orders_of(load_bundle(options.bundle), dev) if options.bundle else []
    except (BundleError, ToolError) as error:
        print(f"error: {error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    for name, examples in (("train", ours), ("dev", dev)):
        write_pairs(folder / f"{name}.jsonl", map(pair_of, examples))
    shutil.copyfile(TASK, folder / "task.json")
    print(f"wrote {len(ours)} and {len(dev)} pairs into {folder}")
    if outputs:
        print(json.dumps(score_writing([pair_of(e) for e in dev], outputs).as_dict(), indent=1))
    return 0


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """As JSON Lines."""
    lines = (
        json.dumps({"text": pair.text, "output": pair.output}, ensure_ascii=False) for pair in pairs
    )
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

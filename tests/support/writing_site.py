"""A dozen messages with what is to be written about them, and the task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ASSETS = ("pump 1", "valve V-7", "fan 12", "motor M3")
PROBLEMS = ("leaking", "stuck", "too hot")
SPAN = {"type": ["string", "null"], "x-extractive": True}
TASK = {
    "prompt": "<bos>{text}<mask>",
    "output_schema": {
        "type": "object",
        "properties": {
            "asset": SPAN,
            "problem": SPAN,
            "due": SPAN,
            "priority": {"enum": ["low", "high"]},
        },
        "required": ["asset", "problem", "due", "priority"],
    },
    "max_output_tokens": 96,
}
PAIRS = [
    (
        f"the {asset} is {problem}",
        {"priority": "high" if problem == "stuck" else "low", "asset": asset, "problem": problem,
         "due": None},
    )
    for asset in ASSETS
    for problem in PROBLEMS
]  # fmt: skip
"""Properties in another order than the schema's: the tools put them right."""


def writing_site(folder: Path, **task: Any) -> Path:
    """``train.jsonl``, ``dev.jsonl`` of the same pairs, and ``task.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": text, "output": output}) + "\n" for text, output in PAIRS]
    for name in ("train", "dev"):
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "task.json").write_text(json.dumps({**TASK, **task}), encoding="utf-8")
    return folder

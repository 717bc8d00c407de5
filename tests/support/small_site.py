"""A site of three routes and two labels, simple enough for a base of a few KB to learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ASSETS = ("pump", "fan", "valve", "motor")
SYMPTOMS = ("leaking", "high", "low", "stop")


def message(number: int) -> dict[str, Any]:
    """One of ever the same messages: a fault, an order or a question about an asset."""
    asset, symptom = ASSETS[number % 4], SYMPTOMS[number // 4 % 4]
    kind = number % 3
    text, route = [
        (f"{asset} {number} is {symptom}", "fault"),
        (f"stop {asset} {number} now", "command"),
        (f"where is {asset} {number} ?", "question"),
    ][kind]
    marks = [(asset, "asset"), (symptom, "symptom")][: 2 if kind == 0 else 1]
    entities = [
        {"start": text.index(word), "end": text.index(word) + len(word), "label": label}
        for word, label in marks
    ]
    return {"text": text, "route": route, "entities": entities}


def small_site(folder: Path, *, routes: bool = True, entities: bool = True) -> Path:
    """``train.jsonl`` of 96 messages and ``dev.jsonl`` of 24 others."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, numbers in (("train", range(96)), ("dev", range(100, 124))):
        lines = []
        for number in numbers:
            item = message(number)
            item["route"] = item["route"] if routes else None
            item["entities"] = item["entities"] if entities else []
            lines.append(json.dumps(item) + "\n")
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder

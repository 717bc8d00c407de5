"""Labelled messages for tests: sound ones, and what ``check-data`` finds in others."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tools.checking.checks import check
from tools.checking.findings import Finding

ROUTES = ("fault", "reading")
WORDS = ("pump", "valve", "fan", "tank", "motor", "belt", "sensor", "gate", "hoist", "boiler")


def item(text: str, route: str | None = "fault", *marked: tuple[str, str], **more: object) -> dict:
    """A message in which each (surface, label) is marked where it first occurs."""
    entities = [
        {"start": text.index(s), "end": text.index(s) + len(s), "label": label}
        for s, label in marked
    ]
    return {"text": text, "route": route, "entities": entities, **more}


def write(folder: Path, **splits: list[dict | str | bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in splits.items():
        lines = [json.dumps(r, ensure_ascii=False) if isinstance(r, dict) else r for r in rows]
        raw = [line.encode() if isinstance(line, str) else line for line in lines]
        (folder / f"{name}.jsonl").write_bytes(b"\n".join(raw) + b"\n")
    return folder


def sound(count: int, seed: str) -> list[dict]:
    """Messages with nothing wrong in them, none like another."""
    rows = []
    for i in range(count):
        asset = f"{WORDS[i % 10]} {seed}{i * 7919:06d}"
        state = ("broke", "runs")[i % 2] + f" {i * 104729:07d}{seed}"
        rows.append(item(f"{asset} {state}", ROUTES[i % 2], (asset, "asset")))
    return rows


def sound_folder(path: Path) -> Path:
    """A folder in which nothing is wrong: 60 messages to train on, 50 held out."""
    return write(path, train=sound(60, "a"), dev=sound(50, "b"))


def found(folder: Path) -> list[Finding]:
    return list(check([folder]).findings)


def only(folder: Path, code: str) -> Finding:
    """The finding of that code, of which there is exactly one."""
    (finding,) = [f for f in found(folder) if f.code == code]
    return finding


def codes(folder: Path) -> Counter[str]:
    return Counter(f.code for f in found(folder))

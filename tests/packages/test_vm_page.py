"""docs/arm.md: a run on one core renews its line and leaves the others'."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge_agent.bundle import load_bundle
from edge_agent.settings import default_bundle
from edge_agent.specialists import load_specialist
from tools.vm import __main__ as vm
from tools.vm.machine import MACHINES, Machine

SAID = "| cortex-a72 | Raspberry Pi 4 | gateway-default 1.0.0 |"


@pytest.fixture
def run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The last run of a machine, which worked just as this one does."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    machine, bundle = MACHINES["cortex-a76"], load_bundle(default_bundle())
    machine.out.mkdir(parents=True)
    (machine.out / "logits.json").write_text(vm.printed_here())
    specialist, lines = load_specialist(bundle, threads=1), []
    for number, text in enumerate(vm.work.texts()):
        (found,) = specialist.predict([text])
        route = {"label": found.route.label, "abstained": found.route.abstained}
        route["confidence"] = found.route.confidence
        entities = [
            {"label": e.label, "start": e.start, "end": e.end, "confidence": e.confidence}
            for e in found.entities
        ]
        model = {"name": "n", "version": "1", "digest": bundle.digest}
        data = {"model": model, "text": text, "route": route, "entities": entities}
        lines.append(json.dumps({"id": str(number), "data": data}))
    (machine.out / "events.jsonl").write_text("\n".join(lines))
    return machine


def test_a_run_renews_its_line_and_leaves_the_others(
    run_here: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "arm.md"
    page.write_text(vm.BLOCK.sub(rf"\1{vm.compare.HEAD[0]}\n|--|\n{SAID}\n\3", vm.PAGE.read_text()))
    monkeypatch.setattr(vm, "PAGE", page)
    vm.renew_page([run_here])
    head, _, renewed, other = vm.BLOCK.search(page.read_text())[2].splitlines()
    assert (head, other) == (vm.compare.HEAD[0], SAID)
    assert renewed.startswith("| cortex-a76 | Raspberry Pi 5 | n 1 | 0.000 | 0.000 |")
    assert re.search(r"\| (\d+) of \1 \| (\d+) of \2 \| 0.000 \|$", renewed)

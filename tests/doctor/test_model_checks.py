"""Checks of the group model, on real bundles."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.doctor.examine import examine
from edge_agent.doctor.finding import Status
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.table import selected
from edge_agent.settings import default_bundle
from edge_agent.specialists import EncoderSpecialist
from tests.support.machines import again, assert_mended, finding
from tests.support.tiny_bundle import Breakage, break_bundle, tiny_bundle, write_manifest
from tests.support.tiny_generator import tiny_generator
from tests.support.versions import make_version

HELD_BYTES = 64 << 20
UNIT_DROP_INS = "etc/systemd/system/edge-agent.service.d"
ERROR, WARNING, OK, SKIPPED = Status.ERROR, Status.WARNING, Status.OK, Status.SKIPPED


def use(patient: Patient, bundle: Path, *lines: str) -> Patient:
    """The patient with this bundle in its configuration."""
    text = patient.config_file.read_text()
    text = text.replace("[model]", "\n".join(["[model]", f'bundle = "{bundle}"', *lines]))
    patient.config_file.write_text(text)
    return patient


def statuses(patient: Patient) -> dict[str, Status]:
    report = examine(selected(["model"], []), patient)
    return {result.check.name: result.status for result in report.results}


def test_the_default_bundle_is_well(pi5: Patient) -> None:
    """Files, model and thresholds; there is nothing on trial, and nothing that writes."""
    found = statuses(pi5)
    assert {name for name, status in found.items() if status is SKIPPED} == {
        "challenger",
        "writers",
    }
    assert set(found.values()) == {OK, SKIPPED}


@pytest.mark.parametrize("how", ["digest", "missing-file", "manifest", "path", "link"])
def test_a_damaged_bundle(pi5: Patient, tmp_path: Path, how: Breakage) -> None:
    """Found by its files; nothing that needs them is tried. A new copy mends it."""
    bundle = break_bundle(tiny_bundle(tmp_path / "tiny"), how)
    found = statuses(use(pi5, bundle))
    assert found.pop("files") is ERROR
    assert set(found.values()) == {SKIPPED}
    shutil.rmtree(bundle)
    tiny_bundle(bundle)
    assert statuses(again(pi5))["files"] is OK


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_a_link_is_replaced_by_the_command(
    pi5: Patient, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    """Of either kind, as printed."""
    bundle = tiny_bundle(tmp_path / "tiny")
    (bundle / "model.onnx").rename(tmp_path / "elsewhere.onnx")
    link(bundle / "model.onnx", tmp_path / "elsewhere.onnx")
    assert_mended(use(pi5, bundle), "model.files", ERROR, "model.onnx is a link")


@pytest.mark.parametrize("how", ["onnx", "tokenizer", "routes", "labels"])
def test_a_bundle_that_the_runtime_cannot_use(pi5: Patient, tmp_path: Path, how: Breakage) -> None:
    """The digests are right; loading it shows it."""
    found = statuses(use(pi5, break_bundle(tiny_bundle(tmp_path / "tiny"), how)))
    assert (found["files"], found["loads"], found["latency"]) == (OK, ERROR, SKIPPED)


def test_more_memory_than_the_service_may_take(pi5: Patient) -> None:
    """The drop-in gives it enough, also where another one had the last word."""
    (pi5.root / UNIT_DROP_INS).mkdir(parents=True)
    (pi5.root / UNIT_DROP_INS / "override.conf").write_text("[Service]\nMemoryHigh=32M\n")
    assert_mended(pi5, "model.room", WARNING, "the service may take 32 MiB")


def test_a_limit_that_kills_counts_too(pi5: Patient) -> None:
    """MemoryMax alone."""
    (pi5.root / UNIT_DROP_INS).mkdir(parents=True)
    limits = "[Service]\nMemoryHigh=infinity\nMemoryMax=64M\n"
    (pi5.root / UNIT_DROP_INS / "override.conf").write_text(limits)
    assert_mended(pi5, "model.room", WARNING, "the service may take 64 MiB")


def free(patient: Patient, mib: int) -> None:
    """The machine has so much memory left."""
    file = patient.path("/proc/meminfo")
    text = re.sub(r"MemAvailable: .*", f"MemAvailable: {mib << 10} kB", file.read_text())
    file.write_text(text)


def test_the_agent_is_not_put_at_risk(pi5: Patient, tmp_path: Path) -> None:
    """What is loaded beside it must have room: else the kernel may end the agent."""
    bundle = tiny_generator(tmp_path / "generator")
    pi5.config_file.write_text(
        pi5.config_file.read_text() + f'\n[specialists.order]\nbundle = "{bundle}"\n'
    )
    free(pi5, 40)
    found = statuses(again(pi5))
    assert {name for name, status in found.items() if status is SKIPPED} >= {"loads", "golden"}
    assert "40 MiB are free" in finding(again(pi5), "model.loads").text
    assert found["writers"] is OK
    free(pi5, 0)
    assert f"{bundle}: loading it takes" in finding(again(pi5), "model.writers").text


def test_every_bundle_needs_room_once(pi5: Patient, tmp_path: Path) -> None:
    """Those that write too: the agent refuses at its start what has none."""
    before = int(re.findall(r"(\d+) MiB", finding(pi5, "model.room").text)[0])
    bundle = make_version(tiny_generator(tmp_path / "generator"), tmp_path / "two", "2.0.0")
    weigh(bundle, weights=300 << 20, tokenizer=10 << 20)
    (tmp_path / "link").symlink_to(bundle)
    for name, path in (("summary", bundle), ("work-order", tmp_path / "link")):
        text = f'\n[specialists.{name}]\nbundle = "{path}"\n'
        pi5.config_file.write_text(pi5.config_file.read_text() + text)
    found = finding(again(pi5), "model.room")
    assert found.status is WARNING
    # the grammar's library, the tokenizer, the weights and their packed copy
    assert f"up to {before + 24 + 6 * 10 + 2 * 300} MiB" in found.text
    champion = default_bundle()
    text = f'\n[challenger]\nbundle = "{champion}"\n'
    pi5.config_file.write_text(pi5.config_file.read_text() + text)
    assert finding(again(pi5), "model.room").text == found.text
    assert_mended(again(pi5), "model.room", WARNING, "the service may take 256 MiB")


def weigh(bundle: Path, **sizes: int) -> None:
    """The manifest says other sizes."""
    manifest = json.loads((bundle / "bundle.json").read_text())
    for name, entry in manifest["files"].items():
        entry["size_bytes"] = sizes.get(name.partition(".")[0], 0)
    (bundle / "bundle.json").write_text(json.dumps(manifest))


def test_loading_names_runtime_and_provider(pi5: Patient) -> None:
    """What really runs, not what was asked for."""
    assert "CPUExecutionProvider" in finding(pi5, "model.loads").text


def test_memory_is_counted_in_pages_of_this_machine(
    pi5: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Raspberry Pi 5 has pages of 16 KiB: four times what as many of 4 KiB are."""
    loaded, held, real = pi5.specialist, [], os.sysconf

    def load(_: Patient) -> EncoderSpecialist:
        held.append(b"x" * HELD_BYTES)
        return loaded

    monkeypatch.setattr(Patient, "specialist", property(load))
    monkeypatch.setattr(os, "sysconf", lambda n: 4 * real(n) if n == "SC_PAGE_SIZE" else real(n))
    found = re.search(r"(\d+) MiB, with onnxruntime", finding(pi5, "model.loads").text)
    assert found
    assert int(found[1]) == pytest.approx(4 * HELD_BYTES >> 20, rel=0.1)


def test_a_bundle_without_calibration(pi5: Patient, tmp_path: Path) -> None:
    """Its confidences say little; a bundle that has it is well."""
    assert finding(use(pi5, tiny_bundle(tmp_path / "tiny")), "model.thresholds").status is WARNING
    text = pi5.config_file.read_text().replace(str(tmp_path / "tiny"), str(default_bundle()))
    pi5.config_file.write_text(text)
    assert finding(again(pi5), "model.thresholds").status is OK


def test_too_slow_for_the_messages_in_hand(pi5: Patient, tmp_path: Path) -> None:
    """The edit takes fewer messages in hand. The time for one is the clock's, not the bundle's."""
    use(pi5, tiny_bundle(tmp_path / "tiny"))
    text = pi5.config_file.read_text().replace("[mqtt]", "[mqtt]\nreceive_maximum = 60000")
    pi5.config_file.write_text(text + "\n[limits]\ndeadline_s = 2\n")
    assert_mended(pi5, "model.latency", WARNING, "60000 messages in hand")


def test_no_time_is_shown_that_was_not_measured(pi5: Patient, tmp_path: Path) -> None:
    """Percentiles are those of health: of two runs, the first and the second."""
    use(pi5, tiny_bundle(tmp_path / "tiny"))
    pi5.clock = replace(pi5.clock, monotonic=iter((0.0, 1.0, 1.0, 3.0)).__next__)
    assert finding(pi5, "model.latency").text.startswith("p50 1000.0 ms, p95 2000.0 ms, 1 a second")


GOLDEN = {
    "text": "pump leaking",
    "route": {"label": "fault", "confidence": 1.0, "abstained": False},
    "entities": [
        {"label": "asset", "start": 0, "end": 4},
        {"label": "symptom", "start": 5, "end": 12},
    ],
}


def record(bundle: Path, **changes: Any) -> Path:
    """The bundle with one golden message."""
    manifest = json.loads((bundle / "bundle.json").read_text())
    (bundle / "golden.jsonl").write_text(json.dumps({**GOLDEN, **changes}) + "\n")
    write_manifest(bundle, manifest)
    return bundle


def test_a_model_that_answers_otherwise(pi5: Patient, tmp_path: Path) -> None:
    """It says what it answered and what was recorded; recorded anew it is well."""
    bundle = record(tiny_bundle(tmp_path / "tiny"), entities=[])
    found = finding(use(pi5, bundle), "model.golden")
    assert found.status is ERROR
    assert (
        "'pump leaking': entities [(0, 4, 'asset'), (5, 12, 'symptom')], recorded []" in found.text
    )
    record(bundle)
    assert finding(again(pi5), "model.golden").text.startswith("1 recorded message")


def test_a_bundle_without_recorded_messages(pi5: Patient, tmp_path: Path) -> None:
    """Has nothing to compare."""
    assert finding(use(pi5, tiny_bundle(tmp_path / "tiny")), "model.golden").status is SKIPPED


def test_a_specialist_that_writes(pi5: Patient, tmp_path: Path) -> None:
    """Writes about one message; what it cannot finish, or a damaged file, is found."""
    assert finding(pi5, "model.writers").status is SKIPPED
    bundle = tiny_generator(tmp_path / "generator", max_output_tokens=3)
    text = f'\n[specialists.work-order]\nbundle = "{bundle}"\n'
    pi5.config_file.write_text(pi5.config_file.read_text() + text)
    found = finding(again(pi5), "model.writers")
    assert found.status is WARNING
    assert "not done: token-limit" in found.text
    shutil.rmtree(bundle)
    tiny_generator(bundle)
    found = finding(again(pi5), "model.writers")
    assert found.status is OK
    assert found.text.startswith("work-order: ")
    break_bundle(bundle, "digest")
    assert finding(again(pi5), "model.writers").status is ERROR
    shutil.rmtree(bundle)
    tiny_generator(bundle, output_schema={"type": "text"})
    found = finding(again(pi5), "model.writers")
    assert found.text.startswith(f"bundle {bundle}: task.output_schema: /type is")


def test_a_damaged_bundle_on_trial(pi5: Patient, tmp_path: Path) -> None:
    """Is found before the agent refuses it; without one there is nothing to see."""
    assert finding(pi5, "model.challenger").status is SKIPPED
    bundle = break_bundle(tiny_bundle(tmp_path / "trial"), "digest")
    text = f'\n[challenger]\nbundle = "{bundle}"\nmode = "shadow"\nshare = 0.1\n'
    pi5.config_file.write_text(pi5.config_file.read_text() + text)
    found = finding(again(pi5), "model.challenger")
    assert found.status is ERROR
    assert "model.onnx is damaged" in found.text
    shutil.rmtree(bundle)
    tiny_bundle(bundle)
    assert finding(again(pi5), "model.challenger").text == "tiny 1.0.0, shadow, 10%"
    shutil.rmtree(bundle)
    tiny_generator(bundle)
    assert "it routes no messages" in finding(again(pi5), "model.challenger").text

"""The model: its files, whether it loads, whether it answers as it was recorded, how fast."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import cycle, islice
from typing import TYPE_CHECKING

from edge_agent.bundle import Bundle, read_claim
from edge_agent.config import Config
from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, ok, skipped, unused, warning
from edge_agent.doctor.machine import memory, size
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.unit import service_unit, setting_fix
from edge_agent.errors import BundleError
from edge_agent.footprint import peak_bytes
from edge_agent.host import rss_bytes
from edge_agent.metrics import percentile
from edge_agent.settings import configured_challenger, configured_writers
from edge_agent.surroundings import Clock

if TYPE_CHECKING:
    from edge_agent.specialists import EncoderSpecialist

SAMPLE_TEXTS = (
    "pump P-101 is leaking since 06:40",
    "sensor t-12: temperature 81.4 °C, limit 80",
    "restart gateway 7 please",
)
LATENCY_RUNS, LATENCY_LIMIT_S = 15, 1.5
PROGRAM_BYTES, STEP_BYTES = 80 << 20, 64 << 20
"""What the program takes without a model, rounded up."""
SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
MEMORY_SHARES = {"MemoryHigh": 1.25, "MemoryMax": 1.875}
"""What the unit should allow, for each byte that the agent takes: as the unit we ship has them."""


def files(patient: Patient) -> Finding:
    """Every file against size and digest of the manifest."""
    bundle = patient.bundle
    total = sum(entry.size_bytes for entry in bundle.manifest.files.values())
    card = bundle.card
    return ok(
        f"{card.name} {card.version}: {len(bundle.manifest.files)} files, {size(total)}, "
        "as the manifest says",
        f"{bundle.path}, digest {card.digest}",
    )


def loads(patient: Patient) -> Finding:
    """Tokenizer and graph, by the runtime that the agent uses; what it costs in memory."""
    if short := _short(patient, patient.bundle):
        return short
    before, begun_s = rss_bytes(), time.monotonic()
    specialist = patient.specialist
    took_s, taken = time.monotonic() - begun_s, max(0, rss_bytes() - before)
    return ok(f"in {took_s:.1f} s, {size(taken)}, with {specialist.runtime}")


def _short(patient: Patient, bundle: Bundle) -> Finding | None:
    """Why it is not loaded now: out of memory, the kernel may end the agent that is at work."""
    needed, free = peak_bytes(bundle), memory(patient).get("MemAvailable")
    if free is None or needed <= free:
        return None
    return skipped(
        f"bundle {bundle.path}: loading it takes up to {size(needed)}, {size(free)} are free; "
        "stop what is not needed, and look again"
    )


def room(patient: Patient) -> Finding:
    """What the agent takes while it loads all its bundles, against what the service may take."""
    needed, limits = PROGRAM_BYTES + _loading_bytes(patient.config), _memory_limits(patient)
    text = f"up to {size(needed)} while it loads"
    if not limits:
        return ok(text)
    least = min(limits.values())
    text = f"{text}; the service may take {size(least)}"
    return ok(text) if needed <= least else warning(text, _more_memory(patient, needed, limits))


def _loading_bytes(config: Config) -> int:
    """Of each bundle once; what is wrong with one that cannot be read is told elsewhere."""
    from edge_agent.loading import bundle_paths, writer_paths  # noqa: PLC0415 - onnxruntime may fail

    found: dict[str, int] = {}
    for path in (*bundle_paths(config), *writer_paths(config).values()):
        with suppress(BundleError):
            claim = read_claim(path)
            found[claim.digest] = peak_bytes(claim)
    return sum(found.values())


def _memory_limits(patient: Patient) -> dict[str, int]:
    """In bytes, by the name of the unit's setting; what is no size is no limit."""
    unit, found = service_unit(patient), {}
    for name in MEMORY_SHARES:
        said = unit.last(name) if unit else ""
        number, scale = said.rstrip("KMGT"), said[-1:] if said[-1:] in SIZES else ""
        if number.isdigit():
            found[name] = int(number) * SIZES[scale]
    return found


def _more_memory(patient: Patient, needed: int, names: Iterable[str]) -> str:
    steps = {name: math.ceil(needed * MEMORY_SHARES[name] / STEP_BYTES) for name in names}
    sizes = {name: f"{count * STEP_BYTES >> 20}M" for name, count in steps.items()}
    return setting_fix(patient, "memory", sizes)


def golden(patient: Patient) -> Finding:
    """The recorded messages, answered again."""
    from edge_agent.golden import check_golden  # noqa: PLC0415 - onnxruntime may fail

    answered = check_golden(patient.bundle, patient.specialist)
    if not answered:
        return unused("the bundle has no recorded messages")
    return ok(f"{answered} recorded messages answered as where it was made")


def challenger(patient: Patient) -> Finding:
    """The bundle on trial, where there is one."""
    trial, bundle = patient.config.challenger, configured_challenger(patient.config)
    if trial is None or bundle is None:
        return unused("no [challenger] is configured")
    return ok(f"{bundle.card.name} {bundle.card.version}, {trial.mode}, {trial.share:.0%}")


def writers(patient: Patient) -> Finding:
    """Each specialist that writes: loaded, and asked to write about one message."""
    from edge_agent.generator import load_writer  # noqa: PLC0415 - onnxruntime may fail
    from edge_agent.golden import more_room  # noqa: PLC0415 - the same

    config, said = patient.config, []
    if not config.specialists:
        return unused("no [specialists.NAME] is configured")
    for name, bundle in configured_writers(config).items():
        if short := _short(patient, bundle):
            return short
        output = load_writer(bundle, config.model.threads).write(SAMPLE_TEXTS[0])
        text = f"{name}: {output.tokens} tokens in {output.model_ms / 1000:.1f} s"
        if not output.complete:
            return warning(f"{text}, and not done: {output.end.value}", more_room(bundle))
        said.append(text)
    return ok("; ".join(said))


def thresholds(patient: Patient) -> Finding:
    """Whether confidences mean something."""
    manifest = patient.bundle.manifest
    if "calibration" not in manifest.model_fields_set:
        return warning(
            "the bundle is not calibrated: its confidences say little",
            "train it with `python -m tools train`, which calibrates, or take a bundle "
            "that has `calibration` in bundle.json",
        )
    found = manifest.calibration
    return ok(f"temperature {found.temperature:g}, abstains below {found.abstain_below:g}")


def latency(patient: Patient) -> Finding:
    """One message at a time; the messages in hand must be done before their deadline."""
    specialist, config = patient.specialist, patient.config
    took_s = sorted(_timed_runs(specialist, patient.clock))
    median_s, slow_s = percentile(took_s, 50), percentile(took_s, 95)
    text = f"p50 {median_s * 1000:.1f} ms, p95 {slow_s * 1000:.1f} ms, {1 / median_s:,.0f} a second"
    in_hand_s = slow_s * config.mqtt.receive_maximum
    if in_hand_s < config.limits.deadline_s:
        return ok(text)
    return warning(
        f"{text}: {config.mqtt.receive_maximum} messages in hand would take {in_hand_s:.0f} s, "
        f"longer than limits.deadline_s",
        f"set `receive_maximum = {max(2, int(config.limits.deadline_s / slow_s / 2))}` "
        f"below [mqtt] in {patient.config_file}",
    )


def _timed_runs(specialist: EncoderSpecialist, clock: Clock) -> list[float]:
    """Seconds of each run, at least two; fewer than asked for where they are slow."""
    took_s: list[float] = []
    for text in islice(cycle(SAMPLE_TEXTS), LATENCY_RUNS):
        begun_s = clock.monotonic()
        specialist.predict([text])
        took_s.append(clock.monotonic() - begun_s)
        if len(took_s) > 1 and sum(took_s) > LATENCY_LIMIT_S:
            break
    return took_s


CHECKS = (
    Check(
        "model.files", "files, sizes and digests of the bundle", files, mends="copy the file again"
    ),
    Check(
        "model.loads",
        "tokenizer and graph, load time, memory",
        loads,
        ("model.files",),
        6.0,
        mends="a bundle for this runtime",
    ),
    Check(
        "model.room",
        "memory that loading takes, against the service's",
        room,
        ("model.loads",),
        mends="more MemoryHigh and MemoryMax, or smaller bundles",
    ),
    Check(
        "model.golden",
        "recorded messages answered alike",
        golden,
        ("model.loads",),
        6.0,
        mends="the onnxruntime it was made with, or a new bundle",
    ),
    Check(
        "model.challenger",
        "files and digests of the bundle on trial",
        challenger,
        mends="copy the file again",
    ),
    Check(
        "model.writers",
        "specialists that write: load, write in time",
        writers,
        ("model.files",),
        60.0,
        mends="edge-agent[generate]; a smaller task, or a smaller bundle",
    ),
    Check(
        "model.thresholds",
        "calibration of confidences",
        thresholds,
        ("model.files",),
        mends="a bundle with calibration",
    ),
    Check(
        "model.latency",
        "time for a message against the deadline",
        latency,
        ("model.loads",),
        mends="a smaller mqtt.receive_maximum",
    ),
)

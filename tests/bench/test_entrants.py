"""Bundles as they are measured."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge_agent.bench import entrants
from edge_agent.bench.entrants import Entrant, Sweep, enter
from edge_agent.bench.runs import LENGTHS, Setting
from edge_agent.bench.texts import TEXTS
from edge_agent.bundle import Bundle, load_bundle
from edge_agent.specialists import EncoderSpecialist, load_specialist
from tests.support.tiny_generator import tiny_generator

SWEEP = Sweep(threads=(1, 2), batches=(1, 4))


def entered(path: Path) -> Entrant:
    return enter(load_bundle(path), SWEEP, time.perf_counter)


def test_texts() -> None:
    """Each length is several times the one before it, and its texts differ."""
    sizes = [sum(map(len, TEXTS[length])) / len(TEXTS[length]) for length in LENGTHS]
    assert sizes[1] > 3 * sizes[0]
    assert sizes[2] > 2 * sizes[1]
    assert all(len(set(texts)) == 4 for texts in TEXTS.values())


def test_each_setting_runs_with_its_threads(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And with as many messages as its batch has, each text in its turn."""
    ran: list[tuple[int, list[str]]] = []

    def load(bundle: Bundle, threads: int) -> EncoderSpecialist:
        specialist = load_specialist(bundle, threads)
        predict = specialist.predict
        specialist.predict = lambda texts: ran.append((threads, texts)) or predict(texts)  # type: ignore[method-assign,func-returns-value]
        return specialist

    monkeypatch.setattr(entrants, "load_specialist", load)
    works = entered(tiny).works
    assert {s.threads for s in works} == {1, 2}
    ran.clear()
    works[Setting("medium", 4, 2)]()
    works[Setting("short", 1, 1)]()
    works[Setting("short", 1, 1)]()
    short, medium = TEXTS["short"], TEXTS["medium"]
    assert ran == [(2, [*medium]), (1, [short[0]]), (1, [short[1]])]


def test_what_is_cut_is_said(tiny: Path, tmp_path: Path) -> None:
    """By the window of the model, or by the room that the prompt leaves."""
    assert "long" in entered(tiny).truncated
    assert "short" not in entered(tiny).truncated
    writer = entered(tiny_generator(tmp_path / "writer"))
    assert "long" in writer.truncated
    assert writer.tokens["medium"] > writer.tokens["short"] > 20


def test_what_an_output_takes(tmp_path: Path) -> None:
    """Prompt and output apart; together no longer than the whole."""
    works = entered(tiny_generator(tmp_path / "writer")).works
    first, again = (works[Setting("short", 1, 1)]() for _ in range(2))
    for run in (first, again):
        assert run.read_s > 0
        assert run.written_s > 0
        assert run.read_s + run.written_s <= run.took_s
        assert run.written_tokens > 10
        assert run.read_tokens > 0


def test_a_bundle_is_not_kept_in_memory(tiny: Path) -> None:
    """The sessions have their own copies; a gateway's memory is small."""
    bundle = load_bundle(tiny)
    enter(bundle, SWEEP, time.perf_counter)
    assert not bundle.contents

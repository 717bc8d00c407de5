"""Champion against challenger: two bundles over the same messages, with paired tests.

Knows nothing of training data; where the two answer different things, it says so.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_agent.bundle import Bundle
from edge_agent.manifest import Manifest
from tools.corpus.annotation import Example
from tools.data import read_jsonl
from tools.errors import ToolError
from tools.evaluation.evaluate import Interval, Rated, comparable, rate, strangers
from tools.evaluation.metrics import Pair, is_exact, predicted_route
from tools.evaluation.progress import progress_bars
from tools.evaluation.resampling import draws, interval, p_value
from tools.evaluation.running import Run, read_bundle, run_bundle
from tools.evaluation.scope import aligned, heads_of

SIGNIFICANT = 0.05
RESAMPLES = 10_000
MCNEMAR = "exact McNemar"
BOOTSTRAP = "paired bootstrap"
TESTED = ("route_accuracy", "entity_f1", "exact")


@dataclass(frozen=True)
class Side:
    """One bundle with its answers and their scores."""

    run: Run
    rated: Rated

    @property
    def manifest(self) -> Manifest:
        return self.run.bundle.manifest

    def as_dict(self) -> dict[str, object]:
        return {
            "bundle": self.run.name,
            "digest": self.run.bundle.digest,
            "size_bytes": self.run.size_bytes,
            **self.rated.scores.as_dict(),
            "intervals": {n: [round(v, 4) for v in i] for n, i in self.rated.intervals.items()},
            "latency": self.run.speed.as_dict(),
        }


@dataclass(frozen=True)
class PairedTest:
    """Challenger minus champion in one score, and how likely chance alone is to show as much."""

    score: str
    champion: float
    challenger: float
    interval: Interval
    p: float
    method: str

    @property
    def difference(self) -> float:
        return self.challenger - self.champion

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``no difference shown``, of the challenger."""
        if self.p >= SIGNIFICANT or not self.difference:
            return "no difference shown"
        return "better" if self.difference > 0 else "worse"

    def as_dict(self) -> dict[str, object]:
        return {
            "champion": round(self.champion, 4),
            "challenger": round(self.challenger, 4),
            "difference": round(self.difference, 4),
            "interval": [round(value, 4) for value in self.interval],
            "p": round(self.p, 6),
            "test": self.method,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Flip:
    """A message that only one of the two gets right. ``of`` is ``route`` or ``exact``.

    ``message`` counts the messages of the file from 1.
    """

    of: str
    message: int
    text: str
    gold: str
    champion: str
    challenger: str
    fixed: bool

    def as_dict(self) -> dict[str, object]:
        return dict(vars(self))


@dataclass(frozen=True)
class Comparison:
    """Everything ``compare`` prints."""

    file: Path
    champion: Side
    challenger: Side
    tests: list[PairedTest]
    flips: list[Flip]
    notes: list[str]

    @property
    def worse(self) -> bool:
        """Whether the challenger is worse in any score."""
        return any(test.verdict == "worse" for test in self.tests)

    @property
    def better(self) -> bool:
        """Whether the challenger is better in any score and worse in none."""
        return not self.worse and any(test.verdict == "better" for test in self.tests)

    @property
    def same(self) -> bool:
        """Whether both are the same bundle."""
        return self.champion.run.bundle.digest == self.challenger.run.bundle.digest

    @property
    def lacks(self) -> list[str]:
        """``routes`` or ``labels``: what the champion answers and the challenger does not."""
        champion, challenger = self.champion.rated.heads, self.challenger.rated.heads
        kinds = ("routes", "labels")
        return [k for k in kinds if getattr(champion, k) and not getattr(challenger, k)]

    def as_json(self) -> str:
        plain = {
            "file": str(self.file),
            "messages": self.champion.rated.scores.messages,
            "champion": self.champion.as_dict(),
            "challenger": self.challenger.as_dict(),
            "tests": {test.score: test.as_dict() for test in self.tests},
            "flips": [flip.as_dict() for flip in self.flips],
            "notes": self.notes,
        }
        return json.dumps(plain, indent=1, ensure_ascii=False)


def compare(champion: Path, challenger: Path, file: Path, threads: int = 1) -> Comparison:
    """Runs both bundles and tests every score that compares. Raises ToolError, BundleError."""
    examples = read_jsonl(file)
    bundles = [read_bundle(path) for path in (champion, challenger)]
    for bundle in bundles:
        refuse_writer(bundle, file)
    sides = []
    with progress_bars() as bars:
        for bundle in bundles:
            named = aligned(examples, bundle.manifest)
            run = run_bundle(bundle, [e.text for e in named], threads, bars)
            sides.append(Side(run, rate(named, run.predictions, heads_of(bundle.manifest))))
    return Comparison(file, *sides, paired_tests(*sides), flips(*sides), notes_on(examples, *sides))


def refuse_writer(bundle: Bundle, file: Path) -> None:
    """Raises ToolError for a bundle that writes: its outputs have no routes nor labels."""
    if bundle.manifest.kind == "generator":
        named = shlex.join(["python", "-m", "tools", "evaluate", str(bundle.path), str(file)])
        raise ToolError(
            f"bundle {bundle.path} writes; those that sort and mark can be compared",
            f"score each that writes by itself: {named}",
        )


def paired_tests(champion: Side, challenger: Side) -> list[PairedTest]:
    """One a score that both have; ``exact`` only where both answer the same things."""
    pairs = champion.rated.pairs, challenger.rated.pairs
    before, after = comparable(champion.rated, challenger.rated)
    names = [name for name in TESTED if name in before]
    resamples = [draws({n: side[n] for n in names}, RESAMPLES) for side in (before, after)]
    tests = []
    for name in names:
        differences = resamples[1][name] - resamples[0][name]
        if name == "entity_f1":
            p, method = p_value(differences), BOOTSTRAP
        else:
            p, method = mcnemar(*(rights(name, side) for side in pairs)), MCNEMAR
        values = before[name].value, after[name].value
        tests.append(PairedTest(name, *values, interval(differences), p, method))
    return tests


def mcnemar(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> float:
    """Two-sided p over the messages ``[N]`` that only one of the two gets right; 1 without any."""
    from scipy.stats import binomtest  # noqa: PLC0415

    fixed, broken = int((after & ~before).sum()), int((before & ~after).sum())
    return float(binomtest(fixed, fixed + broken, 0.5).pvalue) if fixed + broken else 1.0


def rights(score: str, pairs: Sequence[Pair]) -> NDArray[np.bool_]:
    """``[N]``: which messages are right by route, or in everything."""
    if score == "exact":
        return np.array([is_exact(e, p) for e, p in pairs], bool)
    return np.array([bool(e.route) and predicted_route(p) == e.route for e, p in pairs], bool)


def flips(champion: Side, challenger: Side) -> list[Flip]:
    """Messages that only one of the two gets right, by route first, in the order of the file."""
    sides = champion.rated.pairs, challenger.rated.pairs
    heads = champion.rated.heads, challenger.rated.heads
    answered = {"route": all(h.routes for h in heads), "exact": heads[0] == heads[1]}
    found = []
    for of, score in (("route", "route_accuracy"), ("exact", "exact")):
        before, after = (rights(score, side) for side in sides)
        if answered[of]:
            found += [
                _flip(of, int(i), sides[0][i], sides[1][i], fixed=bool(after[i]))
                for i in np.flatnonzero(before != after)
            ]
    return found


def _flip(of: str, index: int, before: Pair, after: Pair, *, fixed: bool) -> Flip:
    example = before[0]
    if of == "route":
        said = [predicted_route(p) for _, p in (before, after)]
        return Flip(of, index + 1, example.text, example.route, *said, fixed)
    said = [_spoken(predicted_route(p), p.entities, example.text) for _, p in (before, after)]
    gold = _spoken(example.route, example.entities, example.text)
    return Flip(of, index + 1, example.text, gold, *said, fixed)


def _spoken(route: str, spans: Sequence[object], text: str) -> str:
    """``fault: pump 2|asset, leaking|symptom``."""
    ordered = sorted(spans, key=lambda span: span.start)
    marked = ", ".join(f"{text[s.start : s.end]}|{s.label}" for s in ordered)
    return f"{route or '-'}: {marked or 'no entities'}"


def notes_on(examples: list[Example], champion: Side, challenger: Side) -> list[str]:
    """Where the two do not answer the same things."""
    notes = []
    for kind in ("routes", "labels"):
        ours, theirs = (set(getattr(side.manifest, kind)) for side in (champion, challenger))
        if not ours or not theirs:
            if ours or theirs:
                who = "challenger" if ours else "champion"
                notes.append(f"the {who} has no {kind}: neither they nor exact are compared")
        elif ours != theirs:
            notes.append(
                f"the {kind} differ: only the champion has {_listed(ours - theirs)}; "
                f"only the challenger has {_listed(theirs - ours)}"
            )
    for who, side in (("champion", champion), ("challenger", challenger)):
        named = aligned(examples, side.manifest)
        notes += [f"{who}: {note}" for note in strangers(named, side.manifest)]
    if champion.run.bundle.digest == challenger.run.bundle.digest:
        notes.append("both are the same bundle")
    return notes


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"

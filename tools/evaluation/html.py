"""An evaluation as one page that stands by itself: no scripts, nothing loaded from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from tools.evaluation import charts
from tools.evaluation.errors import error_card, worst
from tools.evaluation.evaluate import Evaluation
from tools.evaluation.metrics import Pair, Tally, judged_routes, predicted_route
from tools.evaluation.report import SCORES, counted, percent
from tools.evaluation.scope import OutOfScope
from tools.evaluation.selective import COVERAGES

STYLE = Path(__file__).with_name("style.css")
MOST_NAMES = 30
MOST_BARS = 40
MEANING = {
    "route_accuracy": "Messages sent the right way.",
    "route_macro_f1": "The same, every route counting alike, however rare.",
    "entity_f1": "Names found in the text with exactly the right span and label.",
    "entity_precision": "Of what the bundle marks, how much is right.",
    "entity_recall": "Of what is there to mark, how much it finds.",
    "exact": "Messages with everything right that the bundle answers: route, entities or both.",
}

PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")


def page(found: Evaluation) -> str:
    """The whole document."""
    sections = [_head(found), _cards(found)]
    for title, part, names in (("Routes", "routes", "route"), ("Entities", "labels", "label")):
        tallies = getattr(found.ours.scores, part)
        if tallies:
            sections.append(f"<h2>{title}</h2>")
            if part == "routes":
                sections.append(_confusions(found.ours.pairs))
            theirs = getattr(found.theirs.scores, part) if found.theirs else {}
            sections.append(_bars(tallies, theirs, names))
    sections += [_confidence(found), _scope(found.scope), _errors(found.ours.pairs), _foot(found)]
    title = f"{found.run.name} on {found.job.file.name}"
    style = STYLE.read_text(encoding="utf-8")
    return PAGE.substitute(title=escape(title), style=style, body="\n".join(filter(None, sections)))


def _head(found: Evaluation) -> str:
    run = found.run
    speed = run.speed
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in found.notes)
    if found.beaten:
        names = ", ".join(SCORES[name] for name in found.beaten)
        notes += f'<p class="alert">A simple model does better: {names}. Do not ship this yet.</p>'
    return (
        f"<h1>{escape(run.name)}</h1>"
        f'<p class="soft-ink">scored on {counted(found.ours.scores.messages, "message")} of '
        f"<code>{escape(str(found.job.file))}</code> · {run.size_bytes / 1e6:.1f} MB · "
        f"{speed.p50_ms:.1f} ms a message (95 % within {speed.p95_ms:.1f} ms) · "
        f"{speed.messages_per_s:.0f} messages a second in batches</p>{notes}"
    )


def _cards(found: Evaluation) -> str:
    cards = [_card(found, name) for name in SCORES if name in found.ours.intervals]
    theirs = ""
    if found.baseline is not None:
        parts = [part for part in (found.baseline.router, found.baseline.tagger) if part]
        source = found.baseline.training
        theirs = (
            f' <span class="key theirs"></span>baseline: {escape(" and ".join(parts))}, trained on '
            f"{counted(len(source.examples), 'message')} of <code>{escape(source.source)}</code>."
        )
    return (
        f'<div class="cards">{"".join(cards)}</div><p class="soft-ink">'
        f'<span class="key ours"></span>the bundle.{theirs} The bands hold the true score with '
        "95 % certainty, as far as these messages can tell.</p>"
    )


def _card(found: Evaluation, name: str) -> str:
    value = getattr(found.ours.scores, name)
    rows = [charts.Whisker("ours", value, *found.ours.intervals[name])]
    versus = ""
    if name in found.differences:
        theirs = found.theirs
        rows.append(charts.Whisker("theirs", getattr(theirs.scores, name), *theirs.intervals[name]))
        versus = f"<p>{_versus(found, name)}</p>"
    return (
        f'<section class="card"><h3>{SCORES[name][0].upper()}{SCORES[name][1:]}</h3>'
        f'<div class="big">{percent(value)}<span> %</span></div><p class="soft-ink">'
        f"{MEANING[name]}</p>{charts.whiskers(rows)}{versus}</section>"
    )


def _versus(found: Evaluation, name: str) -> str:
    item = found.differences[name]
    low, high = item.interval
    kind = "better" if low > 0 else "worse" if high < 0 else "soft-ink"
    said = {"better": "better than", "worse": "worse than"}.get(kind, "no clear difference to")
    amount = f"{percent(item.difference, signed=True)} points"
    ends = f"{percent(low, signed=True)} to {percent(high, signed=True)}"
    return f'<span class="{kind}">{said} the baseline</span>, {amount} ({ends})'


def _confusions(pairs: Sequence[Pair]) -> str:
    names, counts, left_out = confusion_matrix(pairs)
    which = (
        f"Shown: the {len(names)} most often confused of {len(names) + left_out}."
        if left_out
        else ""
    )
    return _panel(
        "Which route is taken for which",
        "Each row is a true route, each column what the bundle said; blue is right, red is wrong, "
        f"darker is a larger part of the row. {which}",
        charts.heat_map(names, counts),
    )


def confusion_matrix(pairs: Sequence[Pair]) -> tuple[list[str], NDArray[np.int64], int]:
    """At most 30 names, counts ``[K, K]`` truth by answer, and how many names are left out."""
    said = Counter((e.route, predicted_route(p)) for e, p in judged_routes(pairs))
    confused: Counter[str] = Counter()
    for (gold, found), count in said.items():
        for name in {gold, found}:
            confused[name] += count * (gold != found)
    ranked = sorted(confused, key=lambda name: (-confused[name], name))
    names = sorted(ranked[:MOST_NAMES])
    counts = np.array([[said[gold, found] for found in names] for gold in names], np.int64)
    return names, counts, len(ranked) - len(names)


def _bars(tallies: Mapping[str, Tally], theirs: Mapping[str, Tally], noun: str) -> str:
    rows = sorted(tallies.items(), key=lambda row: (row[1].f1, row[0]))
    chart = charts.bars([_bar(*row, theirs) for row in rows[:MOST_BARS]])
    if len(rows) > MOST_BARS:
        rest = charts.bars([_bar(*row, theirs) for row in rows[MOST_BARS:]])
        chart += f"<details><summary>{len(rows) - MOST_BARS} more</summary>{rest}</details>"
    ticks = " The tick marks the baseline." if theirs else ""
    return _panel(f"F1 of each {noun}", f"The weakest first, in percent.{ticks}", chart)


def _bar(name: str, tally: Tally, theirs: Mapping[str, Tally]) -> charts.Bar:
    other = theirs[name].f1 if name in theirs else None
    return charts.Bar(name, tally.f1, f"of {tally.support}", other)


def _confidence(found: Evaluation) -> str:
    panels = []
    if found.bins:
        error = percent(found.ours.scores.calibration_error)
        words = "On the dashed line, 80 % sure means right 8 times in 10. "
        words += f"Larger dots hold more messages. Mean distance from the line: {error} points."
        panels.append(_panel("Is it as sure as it says?", words, charts.reliability(found.bins)))
    if found.risk is not None:
        of = "routes" if found.risk.of == "route" else "messages with a wrong entity"
        words = f"Error rate ({of}) when only the surest messages are answered, and the rest go "
        words += f"to a person. Area under the curve: {100 * found.risk.aurc:.2f} %."
        chart = charts.risk_curve(found.risk.curve, COVERAGES)
        panels.append(_panel("What if it only answers when sure?", words, chart))
    return f'<h2>Confidence</h2><div class="pair">{"".join(panels)}</div>' if panels else ""


def _scope(scope: OutOfScope | None) -> str:
    if scope is None:
        return ""
    rows = [("as configured", None, scope.recall, scope.in_scope_accuracy)]
    rows += [
        (
            f"keeping {item.coverage_percent} % of the in-scope messages",
            item.threshold,
            item.recall,
            item.in_scope_accuracy,
        )
        for item in scope.at_coverage
    ]
    rows.append(("never abstaining", None, None, scope.in_scope_forced))
    body = "".join(
        f"<tr><td>{name}</td><td>{'' if threshold is None else f'{threshold:.2f}'}</td>"
        f"<td>{percent(recall)}</td><td>{percent(accuracy)}</td></tr>"
        for name, threshold, recall, accuracy in rows
    )
    head = "<tr><th></th><th>abstain below</th><th>caught, %</th><th>in-scope right, %</th></tr>"
    words = (
        f"{counted(scope.messages, 'message')} belong to no route "
        f"(<b>{escape(scope.label)}</b>), {scope.in_scope_messages:,} do. Abstaining on the first "
        "is right, on the second wrong."
    )
    return f"<h2>Out of scope</h2><p>{words}</p>{_box(f'<table>{head}{body}</table>')}"


def _errors(pairs: Sequence[Pair]) -> str:
    chosen = worst(pairs)
    if not chosen:
        return "<h2>Errors</h2><p>None.</p>"
    cards = "".join(error_card(number, pair) for number, pair in chosen)
    legend = (
        "<p><mark>right</mark> <mark class=missed>missed</mark> "
        "<mark class=extra>should not be there</mark></p>"
    )
    return f"<h2>The {len(chosen)} worst errors</h2>{legend}{cards}"


def _foot(found: Evaluation) -> str:
    return (
        "<footer><p>An entity counts only with exactly the right characters and label; an "
        "abstention is right only on out-of-scope messages. Intervals: bootstrap over messages, "
        "2,000 resamples; differences are paired. Scored with the agent's own code, on the files "
        f"it runs. Bundle digest <code>{found.run.bundle.digest}</code>, "
        f"{counted(found.job.threads, 'thread')}.</p></footer>"
    )


def _panel(title: str, words: str, content: str) -> str:
    return _box(f'<h3>{title}</h3><p class="soft-ink">{words.strip()}</p>{content}')


def _box(content: str) -> str:
    return f'<div class="panel"><div class="wide">{content}</div></div>'

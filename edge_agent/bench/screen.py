"""The outcome for people: 80 columns, figures side by side, the settings ready to be pasted."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from edge_agent.bench.measure import Outcome, Timed
from edge_agent.bench.runs import Figures, Setting
from edge_agent.bench.sensors import NoMeter
from edge_agent.bench.suggest import InForce, Suggestion
from edge_agent.bench.weigh import Cost
from edge_agent.doctor.screen import WIDTH, Style, finding_lines

NAME_WIDTHS = (9, 7, 7)
NAME_WIDTH = sum(NAME_WIDTHS)
COLUMN_WIDTHS = (6, 7, 6)
GROUP_WIDTH = sum(COLUMN_WIDTHS)
GROUPS_A_TABLE = (WIDTH - NAME_WIDTH) // GROUP_WIDTH
NAMES = {"encoder": ("text", "tokens", "batch"), "generator": ("text", "prompt", "")}
HEADS = {"encoder": ("p50", "p95", "/s"), "generator": ("p50", "read", "write")}
MEANINGS = {
    "encoder": "milliseconds a batch, messages a second",
    "generator": "milliseconds an output, tokens read and written a second",
}


def draw(outcome: Outcome, in_force: InForce, style: Style) -> str:
    """The whole screen."""
    lines = [*_wrapped(outcome.machine, ""), ""]
    for timed in outcome.bundles:
        lines += [*_bundle(timed, style), ""]
    lines += [style.paint("energy", "1"), *_energy(outcome), ""]
    if outcome.notes:
        lines.append(style.paint("what stands in the way of better figures", "1"))
        for name, finding in outcome.notes:
            lines += finding_lines(name, finding, style)
        lines.append("")
    lines += _settings(outcome.suggestion, in_force, style)
    return style.spell("\n".join(lines) + "\n")


def _bundle(timed: Timed, style: Style) -> Iterator[str]:
    card, kind = timed.entrant.card, timed.entrant.kind
    yield style.paint(f"{card.name} {card.version}", "1") + f": {MEANINGS[kind]}"
    threads = sorted({setting.threads for setting in timed.figures})
    for start in range(0, len(threads), GROUPS_A_TABLE):
        yield from _table(timed, threads[start : start + GROUPS_A_TABLE])
    if timed.entrant.truncated:
        yield f"  {', '.join(sorted(timed.entrant.truncated))}: longer than the model reads, cut"


def _table(timed: Timed, threads: Sequence[int]) -> Iterator[str]:
    kind = timed.entrant.kind
    counts = (f"{n} thread{'s' if n > 1 else ''}" for n in threads)
    yield " " * NAME_WIDTH + "".join(f"{count:>{GROUP_WIDTH}}" for count in counts)
    yield _named(*NAMES[kind]) + _cells(HEADS[kind]) * len(threads)
    for length, batch in dict.fromkeys((s.length, s.batch) for s in timed.figures):
        tokens = f"{timed.entrant.tokens[length]:.0f}"
        found = [timed.figures.get(Setting(length, batch, n)) for n in threads]
        name = _named(length, tokens, str(batch) if NAMES[kind][-1] else "")
        yield name + "".join(_cells(_row(kind, figures)) for figures in found)


def _named(text: str, tokens: str, batch: str) -> str:
    """The columns that say what a row is of."""
    first, second, third = NAME_WIDTHS
    return f"{'  ' + text:<{first}}{tokens:>{second}}{batch:>{third}}"


def _row(kind: str, figures: Figures | None) -> tuple[str, ...]:
    if figures is None:
        return ("–",) * len(COLUMN_WIDTHS)  # noqa: RUF001 - as the doctor's mark
    if kind == "generator":
        rates = (figures.read_per_s, figures.written_per_s)
        return (_short(figures.p50_ms), *("–" if r is None else _short(r) for r in rates))  # noqa: RUF001
    return (_short(figures.p50_ms), _short(figures.p95_ms), _short(figures.messages_per_s))


def _cells(words: Sequence[str]) -> str:
    return "".join(f"{word:>{width}}" for word, width in zip(words, COLUMN_WIDTHS, strict=True))


def _short(value: float) -> str:
    """Two or three digits that matter."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _energy(outcome: Outcome) -> Iterator[str]:
    for cost in outcome.costs:
        yield from _wrapped(_cost(cost))
    if not isinstance(outcome.meter, NoMeter):
        yield from _wrapped(f"sensor: {outcome.meter.what}")
    if outcome.no_energy:
        yield from _wrapped(f"not measured: {outcome.no_energy}")


def _cost(cost: Cost) -> str:
    energy, setting = cost.energy, cost.setting
    said = f"{1000 * energy.message_j:.3g} mJ a message"
    if energy.message_j <= 0:
        said = "too little to be told from idle"
    return (
        f"{cost.entrant.card.name}: {said} (text {setting.length}, batch {setting.batch}, "
        f"threads {setting.threads}), {energy.work_w:.2f} W at work, {energy.idle_w:.2f} W idle"
    )


def _settings(found: Suggestion | None, now: InForce, style: Style) -> Iterator[str]:
    if found is None:
        yield style.paint("settings", "1")
        yield "  there was no time to compare them: measure longer, with --seconds"
        return
    same = now.threads == found.threads and found.batch in {None, now.batch}
    said = "as they are" if same else "suggested; put each line below its table"
    yield style.paint("settings", "1") + f": {said}"
    yield f"# {now.file}"
    yield from _lines("model", "threads", found.threads, found.threads_why)
    if found.batch is not None:
        yield ""
        yield from _lines("batch", "max_messages", found.batch, found.batch_why)


def _lines(table: str, key: str, value: int, why: str) -> Iterator[str]:
    yield f"[{table}]"
    yield from textwrap.wrap(why, WIDTH, initial_indent="# ", subsequent_indent="# ")
    yield f"{key} = {value}"


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")

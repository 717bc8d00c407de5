"""Charts as inline SVG, coloured by the classes of the page around them.

Every function gives one ``<svg>`` element. Names are escaped here; shares are fractions of 1.
Knows nothing of bundles or messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from tools.evaluation.metrics import Bin

NAME_CHARS = 26
BAR_PX, ROW_PX = 560, 24
CELL_PX, MAP_PX = (26, 42), 640
PLOT_PX, LEFT_PX, TOP_PX = 300, 52, 14
MOST_POINTS = 200


@dataclass(frozen=True)
class Whisker:
    """A score with its 95 % interval; ``kind`` is ``ours`` or ``theirs``."""

    kind: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bar:
    """One label: its share, what to say of it, and the baseline's share where there is one."""

    name: str
    share: float
    note: str
    baseline: float | None = None


def whiskers(rows: Sequence[Whisker]) -> str:
    """Scores on one axis from 0 to 100, one above the other."""
    height = 18 * len(rows) + 16
    parts = [_line(4, height - 13, 204, height - 13, "axis")]
    for place, words in ((4, "0"), (104, "50"), (204, "100")):
        parts.append(_text(place, height - 2, words, "tick middle"))
    for i, row in enumerate(rows):
        y, x, low, high = 10 + 18 * i, *(4 + 200 * v for v in (row.value, row.low, row.high))
        parts.append(_line(low, y, high, y, f"whisker {row.kind}"))
        parts.append(f'<circle cx="{x:.1f}" cy="{y}" r="4.5" class="dot {row.kind}"/>')
    return _svg(218, height, "scores with their intervals", parts)


def bars(rows: Sequence[Bar]) -> str:
    """Horizontal bars from 0 to 100; a tick marks the baseline."""
    height, left = ROW_PX * len(rows) + 6, names_px([row.name for row in rows])
    parts = [_line(x, 0, x, height, "grid") for x in np.linspace(left, left + BAR_PX, 5)]
    for i, row in enumerate(rows):
        parts += _bar(row, left, 3 + ROW_PX * i)
    return _svg(left + BAR_PX + 120, height, "F1 of each label", parts)


def heat_map(names: Sequence[str], counts: NDArray[np.int64]) -> str:
    """Counts ``[K, K]``, truth by row, answer by column, each row shaded by its own shares."""
    side = min(max(MAP_PX // len(names), CELL_PX[0]), CELL_PX[1])
    left = names_px(names)
    top = 0.8 * left + 12
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    parts = []
    for i, name in enumerate(names):
        middle = side * i + side / 2
        parts.append(_name(left - 8, top + middle + 4, name, "end"))
        turn = f"translate({left + middle + 4:.0f} {top - 8:.0f}) rotate(-50)"
        parts.append(f'<g transform="{turn}">{_name(0, 0, name, "start")}</g>')
    for row, column in np.ndindex(counts.shape):
        box = left + side * column, top + side * row, side - 2
        said = f"{names[row]} answered as {names[column]}: {counts[row, column]}"
        kind = "right" if row == column else "wrong"
        parts += _cell(box, int(counts[row, column]), float(shares[row, column]), kind, said)
    size = side * len(names)
    return _svg(left + size + 0.65 * left, top + size + 4, "confusion matrix", parts)


def reliability(bins: Sequence[Bin]) -> str:
    """Accuracy over confidence; on the diagonal the two agree. Dots grow with their messages."""
    most = max(item.messages for item in bins)
    parts = [*_frame("confidence, %", "right, %", 1.0)]
    parts.append(_line(*_at(0, 0), *_at(1, 1), "ideal"))
    for item in bins:
        x, y = _at(item.confidence, item.accuracy)
        parts.append(_line(x, _at(0, item.confidence)[1], x, y, "gap"))
        said = (
            f"{item.messages} messages, confidence {100 * item.confidence:.1f}, "
            f"right {100 * item.accuracy:.1f}"
        )
        radius = 4 + 10 * (item.messages / most) ** 0.5
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" class="dot ours soft">'
            f"<title>{said}</title></circle>"
        )
    return _svg(*_plot_size(), "reliability diagram", parts)


def risk_curve(curve: NDArray[np.float64], marks: Sequence[int]) -> str:
    """Error rate ``curve`` ``[N]`` over the share of messages answered; ``marks`` in percent."""
    top = _ceiling(float(curve.max()))
    parts = [*_frame("messages answered, surest first, %", "errors, %", top)]
    chosen = np.unique(np.linspace(0, len(curve) - 1, MOST_POINTS).round().astype(int))
    path = [_at((n + 1) / len(curve), curve[n] / top) for n in chosen]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in path)
    parts.append(f'<polyline points="{points}" class="curve"/>')
    for percent in marks:
        error = curve[-(-len(curve) * percent // 100) - 1]
        x, y = _at(percent / 100, error / top)
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" class="dot ours">'
            f"<title>{percent} % answered: {100 * error:.1f} % errors</title></circle>"
        )
    return _svg(*_plot_size(), "risk-coverage curve", parts)


def _bar(row: Bar, left: float, y: float) -> Iterator[str]:
    end = left + BAR_PX
    yield _name(left - 8, y + 13, row.name, "end")
    for width, kind in ((BAR_PX, "track"), (BAR_PX * row.share, "bar")):
        yield f'<rect x="{left}" y="{y}" width="{width:.1f}" height="17" rx="3" class="{kind}"/>'
    if row.baseline is not None:
        x = left + BAR_PX * row.baseline
        yield f"<g><title>baseline {100 * row.baseline:.1f}</title>"
        yield _line(x, y - 2, x, y + 19, "mark") + "</g>"
    yield _text(end + 8, y + 13, f"{100 * row.share:.1f}", "value")
    yield _text(end + 54, y + 13, row.note, "tick")


def _cell(
    box: tuple[float, float, float], count: int, share: float, kind: str, said: str
) -> Iterator[str]:
    """``box`` is left, top and side of the square."""
    x, y, side = box
    square = f'x="{x:.0f}" y="{y:.0f}" width="{side}" height="{side}" rx="3"'
    yield f'<g><title>{escape(said)}</title><rect {square} class="track"/>'
    if count:
        opacity = 0.12 + 0.88 * share
        yield f'<rect {square} class="{kind}" fill-opacity="{opacity:.2f}"/>'
        shade = "on" if opacity > 0.55 else "strong"
        yield _text(x + side / 2, y + side / 2 + 4, str(count), f"tick middle {shade}")
    yield "</g>"


def _frame(across: str, up: str, top: float) -> Iterator[str]:
    """Grid and ticks of a square plot; the upward axis ends at ``top``."""
    for step in np.linspace(0, 1, 6):
        x, y = _at(step, step)
        yield _line(x, TOP_PX, x, TOP_PX + PLOT_PX, "grid")
        yield _line(LEFT_PX, y, LEFT_PX + PLOT_PX, y, "grid")
        yield _text(x, TOP_PX + PLOT_PX + 16, f"{100 * step:.0f}", "tick middle")
        yield _text(LEFT_PX - 8, y + 4, f"{100 * top * step:.3g}", "tick end")
    middle = TOP_PX + PLOT_PX / 2
    yield _text(LEFT_PX + PLOT_PX / 2, TOP_PX + PLOT_PX + 36, across, "axis-name middle")
    yield f'<g transform="translate(12 {middle}) rotate(-90)">'
    yield _text(0, 0, up, "axis-name middle") + "</g>"


def _at(x: float, y: float) -> tuple[float, float]:
    """A point of the unit square in the plot."""
    return LEFT_PX + PLOT_PX * float(x), TOP_PX + PLOT_PX * (1 - float(y))


def _plot_size() -> tuple[int, int]:
    return LEFT_PX + PLOT_PX + 16, TOP_PX + PLOT_PX + 44


def _ceiling(value: float) -> float:
    """The next round number for the end of an axis."""
    return next(end for end in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0) if end >= min(value, 1))


def names_px(names: Sequence[str]) -> float:
    """Room for the longest name."""
    return 24 + 7 * min(max(map(len, names), default=0), NAME_CHARS)


def _name(x: float, y: float, name: str, anchor: str) -> str:
    """A label, cut where long; the whole of it shows under the pointer."""
    short = name if len(name) <= NAME_CHARS else f"{name[: NAME_CHARS - 1]}…"
    return f"<g><title>{escape(name)}</title>{_text(x, y, short, f'name {anchor}')}</g>"


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:{width:.0f}px" '
        f'role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )

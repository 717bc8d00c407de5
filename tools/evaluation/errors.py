"""The worst errors of a bundle, and their texts with true and predicted entities marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from tools.evaluation.metrics import (
    Pair,
    Triple,
    candidates,
    found_spans,
    is_exact,
    predicted_route,
    truth,
)

MOST_ERRORS = 40
MOST_CHARS = 1200
VISIBLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
"""Control characters become their pictures."""


def worst(pairs: Sequence[Pair], most: int = MOST_ERRORS) -> list[tuple[int, Pair]]:
    """The messages that went most wrong, numbered from 1: a wrong route counts by its confidence,
    entities by the share that is wrong. Messages with everything right never appear.
    """
    wrong = [(badness(pair), number, pair) for number, pair in enumerate(pairs, 1)]
    wrong = [item for item in wrong if not is_exact(*item[2])]
    wrong.sort(key=lambda item: (-item[0], item[1]))
    return [(number, pair) for _, number, pair in wrong[:most]]


def badness(pair: Pair) -> float:
    """From 0 to 2."""
    example, prediction = pair
    gold, said = truth(example), found_spans(prediction)
    spans = len(gold ^ said) / len(gold | said) if gold | said else 0.0
    return spans + (prediction.route.confidence if route_is_wrong(pair) else 0.0)


def route_is_wrong(pair: Pair) -> bool:
    example, prediction = pair
    judged = bool(example.route) and prediction.route is not None
    return judged and predicted_route(prediction) != example.route


def error_card(number: int, pair: Pair) -> str:
    """One error as an ``<article>``: the routes, then the text as it should be and as it came."""
    example, prediction = pair
    gold, said = truth(example), found_spans(prediction)
    lines = f"<dt>truth</dt><dd dir=auto>{marked(example.text, gold, gold - said, 'missed')}</dd>"
    if gold != said:
        answer = marked(example.text, said, said - gold, "extra")
        lines += f"<dt>answer</dt><dd dir=auto>{answer}</dd>"
    head = f"<span>message {number}</span>{_routes(pair)}"
    return f'<article class="error"><header>{head}</header><dl class="said">{lines}</dl></article>'


def marked(text: str, spans: Iterable[Triple], odd: Iterable[Triple], kind: str) -> str:
    """The escaped text with each span in a ``<mark>``; those in ``odd`` get the class ``kind``."""
    parts, last, wrong = [], 0, set(odd)
    for start, end, label in sorted(spans):
        if start < last or start >= MOST_CHARS:
            continue
        cls = f' class="{kind}"' if (start, end, label) in wrong else ""
        surface = plain(text[start:end])
        parts.append(f"{plain(text[last:start])}<mark{cls}>{surface}<i>{escape(label)}</i></mark>")
        last = end
    tail = text[last : max(last, MOST_CHARS)]
    return "".join(parts) + plain(tail) + ("…" if last + len(tail) < len(text) else "")


def plain(text: str) -> str:
    """Safe to stand in a page, with control characters made visible."""
    return escape(text.translate(VISIBLE))


def _routes(pair: Pair) -> str:
    example, prediction = pair
    if prediction.route is None or not example.route:
        return ""
    if not route_is_wrong(pair):
        return f"<span>route <b>{escape(example.route)}</b>, right</span>"
    best = candidates(prediction.route)[0]
    answer = f"{escape(predicted_route(prediction))}, confidence {100 * best.confidence:.0f} %"
    if prediction.route.abstained and best.label != prediction.route.label:
        answer = f"{escape(prediction.route.label)} (abstained; best guess {escape(best.label)}, "
        answer += f"{100 * best.confidence:.0f} %)"
    return (
        f"<span>route should be <b>{escape(example.route)}</b></span>"
        f'<span class="worse">came out {answer}</span>'
    )

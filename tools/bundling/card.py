"""The model card of a bundle, in Markdown."""

from __future__ import annotations

from tools.bundling.pack import Contents
from tools.evaluation.metrics import Scores, Tally

INTENT = """\
A small joint encoder for messages on an IoT gateway: sensor logs and operator messages. One pass
gives the route (who should handle the message) and the entities it names. It runs on a CPU through
onnxruntime and sends nothing anywhere."""

MADE_FROM = """\
- Base: {name} ({base[licence]}), sha256 `{base[sha256]}`.
- Corpus: {corpus[source]}, {corpus[train]} messages to train on, {corpus[dev]} held out,
  sha256 `{corpus[sha256]}`."""

LIMITS = """\
- It reads as its base, {base}, does: the languages that knows, and case only where that keeps it.
- Messages longer than {tokens} tokens are cut; the tail is not read.
- The held-out messages come from the same hands as the ones it was trained on, so the scores above
  flatter it. Expect clearly less on messages of real systems; measure on your own, and train on
  them where it falls short.
- It sorts and marks text. It is no safety function: do not let an alarm depend on it alone."""


def model_card(contents: Contents, scores: Scores) -> str:
    """The card: what it is, what from, labels, scores over the held-out messages, limits."""
    base = contents.provenance["base"]
    corpus = contents.provenance["corpus"]
    parts = [
        f"# {contents.name} {contents.version}",
        INTENT,
        "## Made from",
        MADE_FROM.format(base=base, corpus=corpus, name=_base_name(base))
        + f"\n- Quantisation: {_quantisation(contents.quantisation)}",
        "## Routes and labels",
        f"Routes: {_names(contents.vocabulary.routes)}.",
        f"Labels: {_names(contents.vocabulary.labels)}.",
        "## Scores over the held-out messages of the corpus",
        _summary(scores),
        _table("route", "messages", scores.routes),
        _table("label", "entities", scores.labels),
        "## Limits",
        LIMITS.format(tokens=contents.max_tokens, base=base["name"]),
        "## Licence",
        f"{contents.licence}, as the base model.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _base_name(base: dict[str, object]) -> str:
    """The base's name, its package where it has one, and what was changed in it."""
    package = f", `{base['package']}`" if "package" in base else ""
    return "; ".join([f"{base['name']}{package}", *base.get("changes", [])])


def _quantisation(details: dict[str, object]) -> str:
    if details["bits"] == 32:
        return "none, float32."
    return (
        f"{details['bits']} bits in symmetric blocks of {details['block']}, learnt in the loop "
        f"({', '.join(details['of'])}); norms, positions and heads are float32."
    )


def _summary(scores: Scores) -> str:
    rows = {
        "route accuracy": scores.route_accuracy,
        "route macro F1": scores.route_macro_f1,
        "expected calibration error": scores.calibration_error,
        "entity F1, exact spans": scores.entity_f1,
        "route and all entities right": scores.exact,
    }
    lines = [f"| {name} | {value:.3f} |" for name, value in rows.items() if value is not None]
    return "\n".join(["| score | value |", "|---|---|", *lines])


def _table(title: str, counted: str, tallies: dict[str, Tally]) -> str:
    head = [f"| {title} | precision | recall | F1 | {counted} |", "|---|---|---|---|---|"]
    lines = [_line(name.replace("|", "\\|"), tally) for name, tally in tallies.items()]
    return "\n".join(head + lines) if lines else ""


def _line(name: str, tally: Tally) -> str:
    shares = (tally.precision, tally.recall, tally.f1)
    return f"| {name} | {' | '.join(f'{share:.2f}' for share in shares)} | {tally.support} |"

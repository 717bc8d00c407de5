"""How many messages there are of everything, and whether that can be learnt and measured."""

from __future__ import annotations

from collections.abc import Iterator

from tools.checking.findings import Finding, names, quote, times
from tools.checking.reading import DEV, TRAIN, Data, Split
from tools.data import FEWER_LABELS, MOST_LABELS, held_out, topic_name

FEWEST = 5
FEW = 20
SMALL_DEV = 50
LOPSIDED = 20
MAX_CHARS = 4 * 512
"""What the model's 256 tokens hold, at about four characters a token."""


def sizes(data: Data) -> Iterator[Finding]:
    """Splits without messages, and a development split too small to steer by."""
    for split in data.splits:
        count = len(split.entries)
        if not count:
            needed = split.name in (TRAIN, DEV)
            severity = "error" if needed else "warning"
            fix = "write messages into it" + ("" if needed else ", or delete the file")
            yield Finding("empty-split", severity, split.file, "holds no messages", fix)
        elif split.name == DEV and count < SMALL_DEV:
            problem = f"holds {count} messages: thresholds and scores will be guesses"
            fix = f"move messages into it until there are at least {SMALL_DEV}"
            yield Finding("small-dev", "warning", split.file, problem, fix)


def held_out_messages(data: Data) -> Iterator[Finding]:
    """Without dev.jsonl, what training will hold out; an error where that is nothing."""
    train = data.train
    if not data.lacks_dev or train is None or not train.entries:
        return
    dev = held_out((topic_name(entry.route or ""), entry.text) for entry in train.entries)
    count = sum(entry.text in dev for entry in train.entries)
    if not count:
        problem = "has no route with two texts, and there is no dev.jsonl: none can be held out"
        yield Finding("no-dev", "error", train.file, problem, "write dev.jsonl, or add messages")
        return
    problem = "has no dev.jsonl beside it"
    fix = f"training holds out about {count:,} of its messages, a tenth of each route"
    yield Finding("no-dev", "info", train.file, problem, fix)


def tasks(data: Data) -> Iterator[Finding]:
    """What the bundle will be able to say at all."""
    if not any(split.entries for split in data.splits):
        return
    where = ", ".join(split.file for split in data.splits)
    if not data.routes and not data.labels:
        problem = "no message has a route or an entity: there is nothing to learn"
        yield Finding("nothing-labelled", "error", where, problem, "label the messages")
    elif not data.routes:
        problem = "no message has a route"
        fix = "the bundle will give entities only"
        yield Finding("entities-only", "info", where, problem, fix)
    elif not data.labels:
        problem = "no message has an entity"
        fix = "the bundle will give routes only"
        yield Finding("route-only", "info", where, problem, fix)


def many_labels(data: Data) -> Iterator[Finding]:
    """More labels than a bundle holds."""
    train = data.train
    count = len({topic_name(name) for name in train.labels}) if train else 0
    if train and count > MOST_LABELS:
        problem = f"has {count} labels, and a bundle holds {MOST_LABELS}"
        yield Finding("many-labels", "error", train.file, problem, FEWER_LABELS)


def strangers(data: Data) -> Iterator[Finding]:
    """Routes and labels of other splits that the training split lacks."""
    train = data.train
    if train is None or not train.entries:
        return
    for split in data.splits:
        for kind, found, known in _kinds(split, train):
            for name in sorted(set(found) - set(known)):
                count = times(len(found[name]))
                yield Finding(
                    f"unknown-{kind}",
                    "error",
                    found[name][0],
                    f"{kind} {name!r} stands {count} in {split.name}, and never in train",
                    "give train messages of it, correct its name, or take it out",
                )


def unmeasured(data: Data) -> Iterator[Finding]:
    """Routes and labels that are trained, and of which the development split has none."""
    train = data.train
    dev = next((split for split in data.splits if split.name == DEV and split.entries), None)
    if train is None or dev is None:
        return
    for kind, known, found in _kinds(train, dev):
        missing = sorted(set(known) - set(found))
        if missing and found:
            problem = f"has no {kind} {names(missing)}"
            fix = "nothing will be known of how well these are told; move a few messages over"
            yield Finding(f"unmeasured-{kind}", "info", dev.file, problem, fix)


def few_examples(data: Data) -> Iterator[Finding]:
    """Routes and labels that occur too seldom to be learnt, the rarest first."""
    if data.train is None:
        return
    for kind, found, _ in _kinds(data.train, data.train):
        for name, where in sorted(found.items(), key=lambda item: len(item[1])):
            if len(where) < FEW:
                severity = "warning" if len(where) < FEWEST else "info"
                problem = f"{kind} {name!r} stands only {times(len(where))} in train"
                fix = f"add messages of it, at least {FEW} in all, or merge it with another"
                yield Finding("few-examples", severity, where[0], problem, fix)


def imbalance(data: Data) -> Iterator[Finding]:
    """One route, or label, many times as frequent as another."""
    if data.train is None:
        return
    for kind, found, _ in _kinds(data.train, data.train):
        if len(found) < 2:
            continue
        ranked = sorted(found, key=lambda name: len(found[name]))
        least, most = ranked[0], ranked[-1]
        ratio = len(found[most]) / len(found[least])
        if ratio >= LOPSIDED:
            counts = f"{most!r} {len(found[most])}, {least!r} {len(found[least])}"
            problem = f"{kind}s are uneven, {ratio:.0f} to 1: {counts}"
            fix = f"add messages of the rare ones, or drop repetitions of {most!r}"
            yield Finding("imbalance", "warning", data.train.file, problem, fix)


def long_texts(data: Data) -> Iterator[Finding]:
    """Texts of which the model will probably not read the end, the longest first."""
    long = [entry for entry in data.entries if len(entry.text) > MAX_CHARS]
    for entry in sorted(long, key=lambda entry: -len(entry.text)):
        lost = sum(mark.end > MAX_CHARS for mark in entry.sound_marks)
        beyond = f", {lost} of its spans beyond" if lost else ""
        problem = (
            f"{quote(entry.text)} has {len(entry.text):,} characters, "
            f"the model reads about {MAX_CHARS:,}{beyond}"
        )
        fix = "cut the text before it is labelled, as the gateway would have to"
        yield Finding("long-text", "warning", entry.where, problem, fix)


def _kinds(one: Split, other: Split) -> Iterator[tuple[str, dict, dict]]:
    """Routes, then labels, of both splits."""
    yield "route", one.routes, other.routes
    yield "label", one.labels, other.labels

"""Route and label names: what they become in manifests and topics, and which are one name twice."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from tools.checking.findings import Finding, names, places
from tools.checking.reading import Data
from tools.data import OUT_OF_SCOPE, topic_name

SEPARATORS = re.compile(r"[\W_]+")


def unfit_names(data: Data) -> Iterator[Finding]:
    """Names that training writes otherwise; an error where nothing is left of one."""
    for kind, found in (("route", data.routes), ("label", data.labels)):
        for name, where in found.items():
            if not name or topic_name(name) != name:
                yield _unfit(kind, name, found, where[0])


def _unfit(kind: str, name: str, known: Collection[str], where: str) -> Finding:
    problem, answer = f"{kind} {name!r} cannot stand in a topic", topic_name(name)
    if not answer:
        fix = "give it a name of letters and digits"
        return Finding("unfit-name", "error", where, f"{problem}, and nothing of it can", fix)
    problem += f"; the bundle calls it {answer!r}"
    same = [other for other in known if other != name and topic_name(other) == answer]
    if same:
        problem += f", and so it calls {names(same)}: they become one"
        return Finding("merged-names", "warning", where, problem, "rename one, if they differ")
    return Finding("unfit-name", "warning", where, problem, "rename it, if that does not suit you")


def similar_names(data: Data) -> Iterator[Finding]:
    """Names that differ only by case or separators: most often one class, spelt twice."""
    for kind, found in (("routes", data.routes), ("labels", data.labels)):
        groups: dict[str, list[str]] = {}
        for name in found:
            groups.setdefault(_plain(name), []).append(name)
        for group in groups.values():
            if len({topic_name(name) for name in group}) > 1:
                counts = ", ".join(f"{name!r} ({len(found[name])})" for name in sorted(group))
                rarest = min(group, key=lambda name: len(found[name]))
                problem = f"{kind} {counts} differ only in case or separators"
                fix = f"spell them one way; {rarest!r} stands in {places(found[rarest])}"
                yield Finding("similar-names", "warning", found[rarest][0], problem, fix)


def out_of_scope_route(data: Data) -> Iterator[Finding]:
    """The route that stands for messages that fit none, or one whose name comes close."""
    meant = next((name for name in OUT_OF_SCOPE if name in data.routes), None)
    close = [name for name in data.routes if _plain(name) in map(_plain, OUT_OF_SCOPE)]
    for name in [meant] if meant else close:
        where = data.routes[name]
        problem = f"route {name!r} has {len(where):,} messages"
        fix = "it becomes the out-of-scope route: predicting it counts as abstaining"
        if not meant:
            fix = f"a route as any other; write {OUT_OF_SCOPE[0]!r}, if it means that none fits"
        yield Finding("out-of-scope-route", "info", where[0], problem, fix)


def _plain(name: str) -> str:
    """Without case and separators."""
    return SEPARATORS.sub("", name).casefold() or name

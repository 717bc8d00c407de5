"""A linear-chain CRF over words or characters: what entities cost without a neural network."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycrfsuite

from edge_agent.inference.heads import spans
from edge_agent.types import Entity
from tools.corpus.annotation import Example
from tools.data import tag_tokens

WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
"""Runs of letters, runs of digits, single signs: few spans begin or end inside one."""
CHARACTER = re.compile(r"\S")
MOST_INSIDE = 0.005
"""Of the entities: where more begin or end inside a word, the CRF reads characters."""

MAX_ITERATIONS = 80
SETTINGS = {"c1": 0.1, "c2": 0.01, "max_iterations": MAX_ITERATIONS}
AFFIX_CHARS = 4
WINDOW = 2


@dataclass(frozen=True)
class Word:
    """One token with what its neighbours see of it."""

    start: int
    end: int
    text: str
    glued: bool

    @property
    def shape(self) -> str:
        """``Pump`` is ``Xxxx``, ``204`` is ``000``; runs beyond four are cut."""
        kinds = re.sub(r"\d", "0", re.sub(r"[^\W\d_A-Z]", "x", re.sub(r"[A-Z]", "X", self.text)))
        return re.sub(r"(.)\1{4,}", r"\1\1\1\1+", kinds)


class _Trainer(pycrfsuite.Trainer):
    """Tells ``step`` of each iteration."""

    step: Callable[[], None] = staticmethod(lambda: None)

    def message(self, message: str) -> None:
        if message.startswith("***** Iteration"):
            self.step()


class Tagger:
    """A trained CRF. Entities carry no confidence of their own: 1."""

    def __init__(self, labels: tuple[str, ...], model: bytes, token: re.Pattern[str]) -> None:
        self._labels = labels
        self._token = token
        self._bytes = model  # pycrfsuite reads them without keeping them alive
        self._model = pycrfsuite.Tagger()
        self._model.open_inmemory(self._bytes)

    def entities(self, text: str) -> tuple[Entity, ...]:
        """Entities in text order."""
        words = tokens(text, self._token)
        if not words:
            return ()
        path = np.array(legal([int(tag) for tag in self._model.tag(features(words))]))
        return tuple(self._entity(text, words, *span) for span in spans(path))

    def _entity(self, text: str, words: list[Word], label: int, first: int, last: int) -> Entity:
        start, end = words[first].start, words[last].end
        return Entity(self._labels[label], text[start:end], start, end, 1.0)


def train_tagger(examples: Sequence[Example], step: Callable[[], None]) -> Tagger | None:
    """Fits the CRF; None without entities. ``step`` is called at each of at most 80 iterations."""
    labels = tuple(sorted({span.label for e in examples for span in e.entities}))
    if not labels:
        return None
    trainer = _Trainer(params=SETTINGS, verbose=False)
    trainer.step = step
    token = fitting_token(examples)
    for example in examples:
        if words := tokens(example.text, token):
            columns = tag_tokens([(w.start, w.end) for w in words], example, labels)
            trainer.append(features(words), [str(column) for column in columns])
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.crf"
        trainer.train(str(model))
        return Tagger(labels, model.read_bytes(), token)


def fitting_token(examples: Sequence[Example]) -> re.Pattern[str]:
    """What the CRF reads at a time: words, or characters where words hide borders of entities."""
    entities, inside = 0, 0
    for example in examples:
        words = tokens(example.text)
        starts, ends = {word.start for word in words}, {word.end for word in words}
        entities += len(example.entities)
        inside += sum(s.start not in starts or s.end not in ends for s in example.entities)
    return CHARACTER if inside > MOST_INSIDE * entities else WORD


def tokens(text: str, token: re.Pattern[str] = WORD) -> list[Word]:
    """The tokens of a text; ``glued`` ones follow the one before without a space."""
    found, end = [], -1
    for match in token.finditer(text):
        found.append(Word(match.start(), match.end(), match.group(), match.start() == end))
        end = match.end()
    return found


def features(words: Sequence[Word]) -> list[list[str]]:
    """What the CRF sees of each word: itself, and two neighbours either way."""
    shapes = [word.shape for word in words]
    lower = [word.text.lower() for word in words]
    rows = []
    for i, word in enumerate(words):
        row = [*_own(word, lower[i], shapes[i])]
        for step in range(-WINDOW, WINDOW + 1):
            row += _neighbour(step, i + step, lower, shapes) if step else ()
        if i:
            row.append(f"-1|0={lower[i - 1]}|{lower[i]}")
        if i + 1 < len(words):
            row.append(f"0|+1={lower[i]}|{lower[i + 1]}")
        rows.append(row)
    return rows


def legal(path: Sequence[int]) -> list[int]:
    """Tag columns in which inside follows only its own label; elsewhere it becomes a beginning."""
    found, before = [], 0
    for tag in path:
        inside = tag > 0 and tag % 2 == 0
        found.append(tag - 1 if inside and before not in (tag, tag - 1) else tag)
        before = found[-1]
    return found


def _own(word: Word, lower: str, shape: str) -> Iterator[str]:
    yield from ("bias", f"w={lower}", f"shape={shape}", f"short={_short(shape)}")
    for length in range(1, min(AFFIX_CHARS, len(lower)) + 1):
        yield f"pre={lower[:length]}"
        yield f"suf={lower[-length:]}"
    if word.glued:
        yield "glued"
    if word.text.isdigit():
        yield "digits"
    elif not word.text.isalpha():
        yield "sign"
    elif word.text.isupper():
        yield "upper"
    elif word.text.istitle():
        yield "title"


def _neighbour(step: int, place: int, lower: list[str], shapes: list[str]) -> tuple[str, ...]:
    if not 0 <= place < len(lower):
        return (f"{step}:edge",)
    name = lower[place]
    return (f"{step}:w={name}", f"{step}:shape={_short(shapes[place])}", f"{step}:suf={name[-3:]}")


def _short(shape: str) -> str:
    return re.sub(r"(.)\1+", r"\1", shape)

"""JSON Schemas and spans of the input to allowed tokens. The only importer of llguidance.

Knows nothing of models. A schema becomes a grammar in llguidance's variant of Lark: parts without
extractive strings go through its own JSON Schema compiler, the rest is spelled out here, because
an extractive string depends on the text at hand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import BundleError, InferenceFailed, SetupError
from edge_agent.inference.byte_pairs import NO_TEXT, BytePairs
from edge_agent.inference.output_schema import has_free_text, is_extractive, kind_of, narrow
from edge_agent.inference.spans import words
from edge_agent.types import JsonObject

ANY_TEXT = r"start: /[^\x00-\x08\x0b-\x1f\x7f]+/"
COMPACT = {"whitespace_flexible": False, "json_allowed_escapes": 'nrbtf\\"'}
"""No white space; no ``\\u``, which could write half of a surrogate pair."""

LETTERS = r'[^"\\\x00-\x1F\x7F]{1,30}'
"""Tokens of which llguidance keeps a list apart, for texts whose letters are free: whatever may
follow in such a text, these are looked at once. With 262,144 tokens the list takes 30 MB."""

FORCED_TEXTS = 256
"""Whose tokens are kept: names of fields with what stands around them, and common values."""

ELEMENT = r"\\u[0-9a-f]{4}|\\[^u]|[^\\]"
INK = r"\\u00(0[^b]|1[^c-f])|\\[\"\\]|[^\\\s]"
"""One character inside a JSON string; one that is no white space."""


class Grammar:
    """What a generator may write: JSON under a schema, or any text when ``schema`` is None."""

    def __init__(
        self,
        tokenizer: BytePairs,
        schema: JsonObject | None,
        vocabulary_tokens: int,
        stop_tokens: tuple[int, ...],
    ) -> None:
        self.schema = None if schema is None else narrow(schema)
        self._llguidance = _library()
        self.free_text = self.schema is None or has_free_text(self.schema)
        tokens = _Tokens(tokenizer, vocabulary_tokens, stop_tokens)
        slices = [LETTERS] if self.free_text else []
        self._tokenizer = self._llguidance.LLTokenizer(
            tokens, eos_token=[*stop_tokens], slices=slices
        )
        extracts = self.schema is not None and is_extractive(self.schema)
        tried = self._try_out("a" if extracts else "")
        self._fixed = None if extracts else tried

    def start(self, text: str) -> Constraint:
        """The constraint of one output about a text. InferenceFailed when none can be written."""
        if self._fixed is not None:
            return Constraint(self._fixed.deep_copy())
        matcher = self._compiled(text)
        if matcher.is_error():
            raise InferenceFailed(
                f"no grammar can be made of the text: {_why(matcher)}",
                "send shorter messages, or export the bundle with a smaller --context",
            )
        return Constraint(matcher)

    def text(self, tokens: Sequence[int]) -> str:
        """What the tokens say. The last character may be cut when the output is not whole."""
        octets: bytes = self._tokenizer.decode_bytes(list(tokens))
        return octets.decode("utf-8", "ignore")

    def _compiled(self, text: str) -> Any:
        source = ANY_TEXT if self.schema is None else lark(self.schema, text)
        return self._llguidance.LLMatcher(self._tokenizer, source, log_level=0)

    def _try_out(self, text: str) -> Any:
        matcher = self._compiled(text)
        if matcher.is_error():
            raise BundleError(
                f"task.output_schema cannot be compiled: {matcher.get_error()}",
                "simplify the schema: shorter texts, fewer items, fewer alternatives",
            )
        return matcher


class _Tokens:
    """A tokenizer as llguidance asks for it; what it forces is cut into tokens by this one."""

    is_tokenizer_wrapper = True
    bos_token_id = None
    special_token_ids = ()

    def __init__(self, tokenizer: BytePairs, count: int, stop_tokens: tuple[int, ...]) -> None:
        self.eos_token_id = stop_tokens[0]
        self._tokenizer = tokenizer
        self._count = count
        self._forced_ids = lru_cache(FORCED_TEXTS)(tokenizer.spell)

    @property
    def tokens(self) -> list[bytes]:
        """The octets of each row of the model's word table."""
        found = self._tokenizer.octets()
        if len(found) > self._count:
            raise BundleError(
                f"tokenizer.json has {len(found)} tokens, the model knows {self._count}",
                "pack the bundle again with the tokenizer its model was trained with",
            )
        return found + [NO_TEXT + b"<[%d]>" % i for i in range(len(found), self._count)]

    def __call__(self, text: str) -> list[int]:
        """The tokens of a text that is forced; most are names of the schema, again and again."""
        return self._forced_ids(text)


class Constraint:
    """Which tokens may come next, as one output grows. Tokens are ids of the vocabulary."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    @property
    def finished(self) -> bool:
        """Whether nothing more may be written; the output is whole."""
        return bool(self._matcher.is_stopped())

    def forced(self) -> list[int]:
        """The tokens that must come now; they count as accepted."""
        tokens: list[int] = self._matcher.compute_ff_tokens()
        for token in tokens:
            self.accept(token)
        return tokens

    def allowed(self) -> NDArray[np.int64]:
        """Ids ``[K]`` of the tokens that may come now, ascending; stop tokens where it may end."""
        tokens = set_bits(np.frombuffer(self._matcher.compute_bitmask(), np.uint8))
        if not len(tokens):
            self._fail("no token may follow")
        return tokens

    def accept(self, token: int) -> None:
        """One more token of the output."""
        if not self._matcher.consume_token(token):
            self._fail(f"token {token} may not come here")

    def _fail(self, what: str) -> None:
        raise InferenceFailed(
            f"the output left its grammar: {_why(self._matcher) or what}",
            "simplify the schema of the bundle: shorter texts, fewer alternatives",
        )


def set_bits(octets: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Places of the ones, lowest bit first. Only what is not 0 is taken apart: it is little."""
    filled = np.flatnonzero(octets)
    places = np.flatnonzero(np.unpackbits(octets[filled], bitorder="little"))
    found: NDArray[np.int64] = filled[places >> 3] * 8 + (places & 7)
    return found


def _why(matcher: Any) -> str:
    """The first line of the library's error: what comes next quotes the message."""
    said: str = matcher.get_error()
    return said.partition("\n")[0]


def lark(schema: JsonObject, text: str) -> str:
    """A narrowed schema as a grammar, for an output about a text."""
    rules = _Rules(words(text))
    rules.lines.append(f"start: {rules.of(schema)}")
    return "\n".join(rules.lines)


class _Rules:
    """Grammar rules, one for each part of a schema. ``parts`` are the words of the text."""

    def __init__(self, parts: list[str]) -> None:
        self.lines: list[str] = []
        self._parts = parts
        self._spans: set[str] = set()

    def of(self, schema: JsonObject) -> str:
        """The name of the rule for a part of the schema."""
        if not is_extractive(schema):
            return self._rule("%json " + json.dumps({**schema, "x-guidance": COMPACT}))
        kind, nullable = kind_of(schema)
        body = {"object": self._object, "array": self._array, "string": self._span}[kind](schema)
        return self._rule(f'{body} | "null"' if nullable else body)

    def _object(self, schema: JsonObject) -> str:
        """Properties in order. ``tail`` is what may follow once one property is written."""
        head, tail = "", ""
        for name, part in reversed(schema["properties"].items()):
            pair = f"{_literal(_literal(name) + ':')} {self.of(part)}"
            required = name in schema["required"]
            alone = f"{pair} {tail}"
            head = self._rule(alone if required else f"{alone} | {head}")
            next_one = f'"," {pair} {tail}'
            tail = self._rule(next_one if required else f"{next_one} | {tail or _literal('')}")
        return f'"{{" {head} "}}"'

    def _array(self, schema: JsonObject) -> str:
        item, least, most = self.of(schema["items"]), schema["minItems"], schema["maxItems"]
        if most == 0:
            return '"[" "]"'
        more = f'("," {item}){{{max(least - 1, 0)},{most - 1}}}' if most > 1 else ""
        return f'"[" {item} {more} "]"' if least else f'"[" ({item} {more})? "]"'

    def _span(self, schema: JsonObject) -> str:
        """A run of words as JSON writes it, which neither begins nor ends with a space."""
        longest = schema["maxLength"]
        if not any(part.strip() and len(_inside(part)) <= longest for part in self._parts):
            return self._no_span(schema)
        if not self._spans:
            substring = _literal({"substring_chunks": [_inside(part) for part in self._parts]})
            self.lines.append(f"WORDS: %regex {substring}")
            self.lines.append(f"INKED: /({INK})(({ELEMENT})*({INK}))?/")
        name = f"SPAN{longest}"
        if name not in self._spans:
            self._spans.add(name)
            fits = f"/(?s:.{{1,{longest}}})/"
            self.lines.append(f'{name}: "\\"" (WORDS & INKED & {fits}) "\\""')
        return name

    def _no_span(self, schema: JsonObject) -> str:
        if kind_of(schema)[1]:
            return '"null"'
        raise InferenceFailed(
            f"no word of the text has at most {schema['maxLength']} characters",
            "raise maxLength of the extractive strings in the bundle, or let them be null",
        )

    def _rule(self, body: str) -> str:
        name = f"rule{len(self.lines)}"
        self.lines.append(f"{name}: {body}")
        return name


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _inside(part: str) -> str:
    """A text as it stands between the quotes of a JSON string."""
    return _literal(part)[1:-1]


def _library() -> Any:
    try:
        import llguidance  # noqa: PLC0415 an extra that few gateways need
    except ImportError as error:
        raise SetupError(
            "generating needs the library llguidance, which is not installed",
            "pip install 'edge-agent[generate]'",
        ) from error
    return llguidance

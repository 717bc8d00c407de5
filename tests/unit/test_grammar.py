"""Whatever a model prefers: what is written under a grammar is whole, valid, and extracted."""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import BundleError, InferenceFailed, SetupError
from edge_agent.inference.byte_pairs import BytePairs
from edge_agent.inference.grammar import Constraint, Grammar, set_bits
from edge_agent.inference.output_schema import extractive_values, narrow
from edge_agent.inference.spans import find_span, words
from tests.support.tiny_generator import EOS, STOP_TOKENS, tokenizer_json

TOKENIZER = tokenizer_json()
PAIRS = BytePairs(TOKENIZER)
VOCABULARY = len(json.loads(TOKENIZER)["model"]["vocab"])
TEXT = 'the "pump" P-101\tis leaking\nin hall 3 \\ é 😀'
MOST_TOKENS = 20_000
SPAN = {"type": "string", "x-extractive": True}


def grammar(schema: Any) -> Grammar:
    return Grammar(PAIRS, schema, VOCABULARY, STOP_TOKENS)


def write(constraint: Constraint, rng: random.Random) -> list[int]:
    """As a model would that likes every token the same, and endings as little as any."""
    tokens: list[int] = []
    while len(tokens) < MOST_TOKENS:
        tokens += constraint.forced()
        if constraint.finished:
            return tokens
        token = int(rng.choice(constraint.allowed()))
        if token in STOP_TOKENS:
            return tokens
        constraint.accept(token)
        tokens.append(token)
    raise AssertionError("it never ends")


def written(schema: Any, text: str, rng: random.Random) -> Any:
    found = grammar(schema)
    return json.loads(found.text(write(found.start(text), rng)), parse_constant=pytest.fail)


pieces = st.sampled_from(
    [*"aZ é😀3-_.,:;\"'\\/{}\t\n\r\x00\x0b\x1b\x1d\x7f\u2028\u00a0▁<>", "pump", "<eos>"]
)
texts = st.lists(pieces, min_size=1, max_size=40).map("".join).filter(str.strip)
names = st.sampled_from(["asset", "a b", 'qu"ote', "é", "a/b~c", "", "\\", "\n", "▁"])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-50, 50),
    st.sampled_from(["", "x", 'a"\\', "é\n", "null"]),
)
ranges = st.tuples(st.integers(0, 3), st.integers(0, 6)).map(sorted)


def limits(low: str, high: str) -> st.SearchStrategy[dict[str, int]]:
    return st.one_of(st.just({}), ranges.map(lambda ends: {low: ends[0], high: ends[1]}))


def typed(kind: str, keywords: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[Any]:
    kinds = st.sampled_from([kind, [kind, "null"]])
    return st.builds(lambda own, said: {"type": said, **own}, keywords, kinds)


numbers = st.one_of(
    st.just({}),
    st.builds(
        lambda low, width, open_end: {
            "exclusiveMinimum" if open_end else "minimum": low,
            "maximum": low + width,
        },
        st.integers(-1000, 1000),
        st.integers(1, 500),
        st.booleans(),
    ),
)
patterns = st.sampled_from([{"pattern": "^[A-Z]{1,3}-[0-9]+$", "maxLength": 9}, {"pattern": "^.$"}])
leaves = st.one_of(
    typed("string", st.one_of(limits("minLength", "maxLength"), patterns)),
    typed("integer", numbers),
    typed("number", numbers),
    typed("boolean", st.just({})),
    st.just({"type": "null"}),
    st.lists(scalars, min_size=1, max_size=4).map(lambda values: {"enum": values}),
    scalars.map(lambda value: {"const": value}),
)
spans = st.sampled_from([SPAN, {"type": ["string", "null"], "x-extractive": True, "maxLength": 30}])


@st.composite
def objects(draw: Any, inner: Any) -> dict[str, Any]:
    properties = draw(st.dictionaries(names, inner, max_size=4))
    required = [name for name in properties if draw(st.booleans())]
    return {
        "type": draw(st.sampled_from(["object", ["object", "null"]])),
        "properties": properties,
        "required": required,
    }


def arrays(inner: Any) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda items, ends: {"type": "array", "items": items, **ends},
        inner,
        limits("minItems", "maxItems"),
    )


plain = st.recursive(
    leaves,
    lambda inner: st.one_of(
        objects(inner),
        arrays(inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts}),
    ),
    max_leaves=5,
)
schemas = st.recursive(
    st.one_of(plain, spans), lambda inner: st.one_of(objects(inner), arrays(inner)), max_leaves=6
)


@settings(max_examples=150, deadline=None)
@given(schema=schemas, text=texts, seed=st.integers(0, 2**32))
def test_never_an_invalid_output(schema: Any, text: str, seed: int) -> None:
    """Any supported schema, any text: the output ends, parses, validates, and extracts."""
    value = written(schema, text, random.Random(seed))
    jsonschema.Draft202012Validator(schema).validate(value)
    for _, surface in extractive_values(narrow(schema), value):
        start, end = find_span(text, surface) or pytest.fail(f"{surface!r} is no span")
        assert text[start:end] == surface == surface.strip()


@pytest.mark.parametrize("seed", range(20))
def test_properties_come_in_order_and_optional_ones_may_lack(seed: int) -> None:
    """As the schema lists them."""
    schema = {
        "type": "object",
        "properties": dict.fromkeys("abcd", SPAN),
        "required": ["b"],
    }
    value = written(schema, TEXT, random.Random(seed))
    assert "b" in value
    assert list(value) == sorted(value)


def test_every_span_can_be_written_and_nothing_else() -> None:
    """All runs of whole words, without white space at their ends."""
    schema = {"type": "array", "items": SPAN, "minItems": 16, "maxItems": 16}
    text = "pump P-7 \n leaks\x0b\x1d!"
    seen: set[str] = set()
    for seed in range(60):
        seen.update(written(schema, text, random.Random(seed)))
    parts = words(text)
    runs = {"".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1)}
    assert seen == {run for run in runs if run == run.strip()}


@pytest.mark.parametrize("text", ["▁▂▃", "a▁b", "▁", " ▁ "])
def test_a_letter_that_tokens_write_spaces_with_is_no_space(text: str) -> None:
    """Forced or chosen, in a name of the schema or in the message, it stays what it is."""
    schema = {"type": "object", "properties": {text: {"const": text}, "b": SPAN}}
    schema["required"] = [text, "b"]
    for seed in range(8):
        value = written(schema, text, random.Random(seed))
        assert value[text] == text
        assert find_span(text, value["b"])


def test_no_span_fits() -> None:
    """The message is at fault, not the program; where null may stand, it does."""
    with pytest.raises(InferenceFailed, match="no word of the text"):
        grammar({**SPAN, "maxLength": 4}).start("leaking  \n pumps")
    nullable = {"type": ["string", "null"], "x-extractive": True, "maxLength": 4}
    assert written(nullable, "leaking", random.Random(0)) is None
    assert written({**SPAN, "maxLength": 4}, "leaking pump", random.Random(0)) == "pump"


def test_a_text_of_too_many_words() -> None:
    """The message is at fault, not the bundle; no word of it is told."""
    rng = random.Random(0)
    text = "".join(rng.choices("!?,.;:-+*/()[]{}<>=#$%&@^~|", k=150_000))
    with pytest.raises(InferenceFailed, match="too big") as caught:
        grammar(SPAN).start(text)
    assert "\n" not in caught.value.problem


def test_a_schema_that_nothing_satisfies_is_refused_when_loaded() -> None:
    """Not when the first message comes."""
    with pytest.raises(BundleError, match="cannot be compiled"):
        grammar({"type": "integer", "minimum": 5, "maximum": 3})


def test_free_text_holds_no_special_tokens_and_no_control_characters() -> None:
    """It ends at a stop token."""
    found = grammar(None)
    allowed = {int(token) for token in found.start("").allowed()}
    assert not allowed & {0, 2, 3, 4}
    constraint = found.start("")
    constraint.accept(VOCABULARY - 1)
    assert EOS in constraint.allowed()
    assert not any(found.text([token]) in {"\x00", "\x1b"} for token in allowed)


def test_a_token_that_is_not_allowed_is_noticed() -> None:
    """The constraint does not carry on with something invalid, and quotes no output."""
    constraint = grammar({"type": "null"}).start("")
    with pytest.raises(InferenceFailed, match="left its grammar") as caught:
        constraint.accept(VOCABULARY - 1)
    assert "\n" not in caught.value.problem


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person is told what to install."""
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(SetupError) as caught:
        grammar(None)
    assert "edge-agent[generate]" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "value", "span"),
    [
        ("pumps pump", "pump", (6, 10)),
        ("a pump, a pump", "pump", (2, 6)),
        ("P-101", "101", (2, 5)),
        ("P-101", "01", None),
        ("pump", "", None),
        ("é 😀 x", "😀 x", (2, 5)),
    ],
)
def test_where_a_span_stands(text: str, value: str, span: tuple[int, int] | None) -> None:
    """The first place where whole words match, in code points."""
    assert find_span(text, value) == span


@given(st.binary(max_size=40))
def test_the_tokens_of_a_mask_are_its_ones(mask: bytes) -> None:
    """Against the mask taken apart as a whole."""
    octets = np.frombuffer(mask, np.uint8)
    expected = np.flatnonzero(np.unpackbits(octets, bitorder="little"))
    np.testing.assert_array_equal(set_bits(octets), expected)

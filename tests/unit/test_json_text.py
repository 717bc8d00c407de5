"""JSON as text: rendering, pointers, templates, depth."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import UndecodableMessage
from edge_agent.wire.json_text import as_text, fill, load, point, render


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"temp": 21.5, "ok": True, "unit": None}, "temp=21.5 ok=true unit=null"),
        ({"device": {"name": "ahu", "bus": {"id": 3}}}, "device.name=ahu device.bus.id=3"),
        ({"msg": "pump leaks"}, 'msg="pump leaks"'),
        ({"msg": 'say "hi"', "eq": "a=b", "none": ""}, 'msg="say \\"hi\\"" eq="a=b" none=""'),
        ({"name": "Kühlung", "t": "温度 °C"}, 'name=Kühlung t="温度 °C"'),
        ({"values": [1, 2.5, "x"], "empty": []}, "values=1,2.5,x empty="),
        ({"alarms": [{"c": "E1"}, {"c": "E2"}]}, "alarms.0.c=E1 alarms.1.c=E2"),
        ({"grid": [[1, 2], [3]]}, "grid.0=1,2 grid.1=3"),
        ({"a": {}}, "a={}"),
        ({}, ""),
    ],
)
def test_an_object_becomes_key_value(value: dict[str, Any], text: str) -> None:
    """Nested keys dotted, lists joined, quotes only where they are needed."""
    assert render(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("pump leaks", "pump leaks"), (3, "3"), (None, "null"), ([1, 2], "1,2"), ({"a": 1}, "a=1")],
)
def test_a_value_as_a_person_would_write_it(value: Any, text: str) -> None:
    """A text stays as it is, without quotes."""
    assert as_text(value) == text


RFC_6901 = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("", RFC_6901),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_pointers_as_in_rfc_6901(pointer: str, found: Any) -> None:
    """The examples of section 5."""
    assert point(RFC_6901, pointer) == found


def test_an_escaped_tilde_is_not_unescaped_twice() -> None:
    """``~01`` is the key ``~1``."""
    assert point({"~1": "right", "/": "wrong"}, "/~01") == "right"


@pytest.mark.parametrize(
    "pointer",
    ["/nope", "/foo/2", "/foo/-", "/foo/-1", "/foo/+1", "/foo/01", "/foo/x", "/foo/0/0", "/foo/²"],
)
def test_a_pointer_to_nothing(pointer: str) -> None:
    """Says which; an index counts from 0, without sign or leading zeros."""
    with pytest.raises(UndecodableMessage) as caught:
        point(RFC_6901, pointer)
    assert repr(pointer) in caught.value.problem


def test_a_template_is_filled() -> None:
    """Dotted keys, any value; what stands around stays; nothing is filled twice."""
    value = {"device": {"name": "ahu {x}"}, "t": 21.5, "tags": ["a", "b"]}
    template = "{device.name}: {t} °C {tags} {}"
    assert fill(template, value) == "ahu {x}: 21.5 °C a,b {}"


@pytest.mark.parametrize("value", [{}, {"device": 3}, {"device": {}}, [1], "text", None])
def test_a_template_without_its_key(value: Any) -> None:
    """Says which."""
    with pytest.raises(UndecodableMessage, match=r"device\.name"):
        fill("{device.name}", value)


@pytest.mark.parametrize(
    "raw", ["", "{", '{"a": }', "[1,]", "{'a': 1}", "1" * 5000, '{"a": 1} x', "\x00", "nul"]
)
def test_broken_json(raw: str) -> None:
    """A text one can act on; also for numbers of more digits than Python converts."""
    with pytest.raises(UndecodableMessage, match="broken") as caught:
        load(raw, 32)
    assert caught.value.fix


def nested(depth: int, inner: Any = 1) -> Any:
    for level in range(depth):
        inner = [inner] if level % 2 else {"a": inner}
    return inner


@pytest.mark.parametrize("depth", [1, 2, 32, 200])
def test_depth_is_limited(depth: int) -> None:
    """Exactly the limit passes, one more does not."""
    assert load(json.dumps(nested(depth)), depth) == nested(depth)
    with pytest.raises(UndecodableMessage, match=f"deeper than {depth}"):
        load(json.dumps(nested(depth + 1)), depth)


@pytest.mark.parametrize("raw", ["[" * 200_000, '{"a":' * 200_000, "[" * 9000 + "]" * 9000])
def test_hostile_depth_is_an_answer_not_a_crash(raw: str) -> None:
    """Deeper than the interpreter's stack."""
    with pytest.raises(UndecodableMessage):
        load(raw, 32)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4))
def test_every_object_has_a_text(value: dict[str, Any]) -> None:
    """Each of its keys begins a part of it."""
    text = render(value)
    assert all(f"{key}=" in text or f"{key}." in text for key in value)


@given(JSON)
def test_a_rendered_text_can_be_read_back(value: Any) -> None:
    """A string's quotes, where it has any, are JSON's."""
    if isinstance(value, str):
        (part,) = [render({"k": value}).removeprefix("k=")]
        assert (json.loads(part) if part.startswith('"') else part) == value

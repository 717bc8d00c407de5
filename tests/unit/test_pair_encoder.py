"""Large tokenizers of byte pairs read texts for an encoder just as the library does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import BundleError
from edge_agent.inference import pair_encoder
from edge_agent.inference.encode import TextEncoder
from edge_agent.inference.pair_encoder import PairEncoder, text_encoder
from tests.support.tiny_generator import SPECIAL, tokenizer_json

Json = dict[str, Any]
MAX_TOKENS = 24


def templated(before: list[str], behind: list[str]) -> bytes:
    """The tokenizer with special tokens around every text."""
    content = json.loads(tokenizer_json())
    ids = {token["content"]: token["id"] for token in content["added_tokens"]}
    text = {"Sequence": {"id": "A", "type_id": 0}}

    def special(name: str) -> Json:
        return {"SpecialToken": {"id": name, "type_id": 0}}

    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [*map(special, before), text, *map(special, behind)],
        "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in [*before, *behind]
        },
    }
    return json.dumps(content).encode()


CASES = {
    "none": tokenizer_json(),
    "before": templated([SPECIAL[0]], []),
    "both": templated([SPECIAL[0]], [SPECIAL[1]]),
}


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as large."""
    monkeypatch.setattr(pair_encoder, "LARGE_BYTES", 0)


words = st.sampled_from(["pump", " is ", "leaking ", "P-101", "\n", *SPECIAL, "é😀"])
texts = st.lists(st.one_of(words, st.text(max_size=6)), max_size=40).map("".join)


@pytest.mark.parametrize("case", CASES)
@given(text=texts)
@settings(deadline=None)
def test_any_text_is_read_as_the_library_reads_it(case: str, text: str) -> None:
    """Ids, offsets, counts, and what the window leaves out."""
    text = text.encode("utf-8", "replace").decode()
    ours = text_encoder(CASES[case], MAX_TOKENS)
    assert isinstance(ours, PairEncoder)
    assert ours.encode(text) == TextEncoder(CASES[case], MAX_TOKENS).encode(text)


def test_a_long_text_is_cut_and_flagged() -> None:
    text = "x" * 10_000
    found = text_encoder(CASES["both"], MAX_TOKENS).encode(text)
    assert found == TextEncoder(CASES["both"], MAX_TOKENS).encode(text)
    assert found.truncated
    assert len(found) == MAX_TOKENS


def test_pieces_of_another_kind_are_left_to_the_library() -> None:
    content = json.loads(tokenizer_json())
    content["model"]["byte_fallback"] = False
    assert isinstance(text_encoder(json.dumps(content).encode(), MAX_TOKENS), TextEncoder)
    with pytest.raises(BundleError, match=r"tokenizer\.json cannot be read"):
        text_encoder(b"{}", MAX_TOKENS)


def test_a_small_file_is_left_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert isinstance(text_encoder(CASES["both"], MAX_TOKENS), TextEncoder)

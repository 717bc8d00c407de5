"""Texts to token ids and back to places in the text."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from edge_agent.bundle import load_bundle
from edge_agent.errors import BundleError
from edge_agent.inference.encode import (
    MAX_CHARS_PER_TOKEN,
    Encoding,
    TextEncoder,
    pad,
)
from edge_agent.inference.grouping import padded
from tests.support.tiny_bundle import tiny_bundle

MAX_TOKENS = 32


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    """The tiny bundle's: [CLS], words, [SEP]."""
    bundle = load_bundle(tiny_bundle(tmp_path_factory.mktemp("tiny") / "b", max_tokens=MAX_TOKENS))
    return TextEncoder(bundle.contents["tokenizer.json"], MAX_TOKENS)


def test_offsets_are_places_in_the_text(encoder: TextEncoder) -> None:
    """In code points, also behind characters outside of the basic plane; specials are empty."""
    text = "🔥 Pump leaking"
    encoding = encoder.encode(text)
    assert [text[a:b] for a, b in encoding.offsets] == ["", "🔥", "Pump", "leaking", ""]
    assert len(encoding) == len(encoding.ids) == 5


@pytest.mark.parametrize(
    ("words", "truncated"), [(MAX_TOKENS - 2, False), (MAX_TOKENS - 1, True), (5000, True)]
)
def test_what_does_not_fit_the_window_is_flagged(
    encoder: TextEncoder, words: int, truncated: bool
) -> None:
    """The window counts special tokens; exactly full is not truncated."""
    encoding = encoder.encode("pump " * words)
    assert encoding.truncated is truncated
    assert len(encoding) == MAX_TOKENS


def test_text_cut_before_the_tokenizer_is_flagged(encoder: TextEncoder) -> None:
    """One endless word has few tokens; that its end was not read must show."""
    limit = MAX_TOKENS * MAX_CHARS_PER_TOKEN
    assert not encoder.encode("x" * limit).truncated
    assert encoder.encode("x" * (limit + 1)).truncated


def test_words_without_an_entry_are_counted(encoder: TextEncoder) -> None:
    """Among the text's own tokens: [CLS] and [SEP] are no words."""
    encoding = encoder.encode("pump qwertz leaking 17")
    assert (encoding.text_tokens, encoding.unknown_tokens) == (4, 2)


@pytest.mark.parametrize(
    "model",
    [
        models.BPE({"a": 0, "<unk>": 1}, [], unk_token="<unk>", byte_fallback=True),
        models.BPE({"a": 0}, []),
    ],
    ids=["byte-fallback", "byte-level"],
)
def test_a_tokenizer_that_can_spell_everything_knows_no_unknown(model: models.Model) -> None:
    """Its rate would be a 0 that says nothing."""
    encoder = TextEncoder(Tokenizer(model).to_str().encode(), MAX_TOKENS)
    assert encoder.encode("ab").unknown_tokens is None


def test_an_empty_text_has_only_special_tokens(encoder: TextEncoder) -> None:
    """``infer`` may be given one."""
    encoding = encoder.encode("")
    assert encoding.offsets == [(0, 0), (0, 0)]
    assert not encoding.truncated


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(text=st.text())
def test_tokens_stand_in_order_inside_the_text(encoder: TextEncoder, text: str) -> None:
    """No span overlaps the one before it."""
    spans = [span for span in encoder.encode(text).offsets if span != (0, 0)]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(one[1] <= two[0] for one, two in pairwise(spans))


@given(st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_pad_fills_with_zeros_and_masks_them(lengths: list[int]) -> None:
    """The width is the least multiple that holds the longest."""
    encodings = [Encoding([9] * n, [(0, 1)] * n, truncated=False) for n in lengths]
    ids, mask = pad(encodings)
    width = ids.shape[1]
    assert ids.shape == mask.shape == (len(lengths), width)
    assert ids.dtype == mask.dtype == np.int64
    assert width == padded(max(lengths))
    assert mask.sum(axis=1).tolist() == lengths
    assert (ids == mask * 9).all()


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"\xff\xfe", b"[" * 5000])
def test_no_tokenizer_is_a_bundle_error(content: bytes) -> None:
    """The foreign exception stops here."""
    with pytest.raises(BundleError, match=r"tokenizer\.json") as caught:
        TextEncoder(content, MAX_TOKENS)
    assert "pack the bundle again" in caught.value.fix

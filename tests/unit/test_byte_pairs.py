"""The agent's tokenizer of byte pairs cuts texts exactly as ``tokenizers`` does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from edge_agent.errors import BundleError
from edge_agent.inference.byte_pairs import NO_TEXT, BytePairs
from tests.support.tiny_generator import END_OF_TURN, SPECIAL, tokenizer_json

Json = dict[str, Any]


def changed(change: Callable[[Json], object]) -> bytes:
    content = json.loads(tokenizer_json())
    change(content)
    return json.dumps(content).encode()


def like_gemma(content: Json) -> None:
    """Words are not cut apart, some added tokens are text, and merges go across spaces."""
    content["pre_tokenizer"] = {
        "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
        "invert": False,
    }  # fmt: skip
    vocabulary = content["model"]["vocab"]
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    for text in ("\n\n", "<turn>", "▁▁"):
        vocabulary[text] = len(vocabulary)
        content["added_tokens"].append({"id": vocabulary[text], "content": text, **flags})
    for left, right in (("p▁", "i"), ("p", "▁"), ("▁", "▁")):
        vocabulary.setdefault(left + right, len(vocabulary))
        content["model"]["merges"].insert(0, [left, right])


def hex_in_words(content: Json) -> None:
    """Pieces of texts that hold addresses: they begin as that of an octet does."""
    vocabulary = content["model"]["vocab"]
    for left, right in (("<", "0"), ("<0", "x"), ("<0x", "1"), ("<0x1", "a"), ("<0x1a", "2")):
        vocabulary.setdefault(left + right, len(vocabulary))
        content["model"]["merges"].insert(0, [left, right])


def in_one_string(content: Json) -> None:
    """As transformers before 4.45 wrote merges."""
    merges = content["model"]["merges"]
    content["model"]["merges"] = [" ".join(merge) for merge in merges]


CASES = {
    "as trained": tokenizer_json(),
    "like Gemma's": changed(like_gemma),
    "addresses": changed(hex_in_words),
    "old merges": changed(in_one_string),
    "no merges": tokenizer_json(merges=False),
}
LIBRARY = {name: Tokenizer.from_str(content.decode()) for name, content in CASES.items()}
OURS = {name: BytePairs(content) for name, content in CASES.items()}
pieces = st.sampled_from(
    [
        "pump",
        "leaking",
        " is ",
        "  ",
        "P-101",
        "\n\n",
        "\n",
        "<turn>",
        "<late>",
        *SPECIAL,
        "<0x0A>",
        "<0x1a2>",
        "▁",
        "é😀",
    ]
)
texts = st.lists(st.one_of(pieces, st.text(max_size=6)), max_size=40).map("".join)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("specials", [False, True])
@given(text=texts)
@settings(deadline=None)
def test_any_text_is_cut_as_the_library_cuts_it(case: str, specials: bool, text: str) -> None:
    """Ids and offsets, whether special tokens in the text are text or themselves."""
    text = text.encode("utf-8", "replace").decode()
    LIBRARY[case].encode_special_tokens = not specials
    expected = LIBRARY[case].encode(text, add_special_tokens=False)
    found = OURS[case].encode(text, specials=specials)
    assert found.ids == expected.ids
    assert found.offsets == expected.offsets


@pytest.mark.parametrize("case", CASES)
@given(text=texts)
@settings(deadline=None)
def test_the_octets_of_its_tokens_are_the_text(case: str, text: str) -> None:
    """When it is spelled; otherwise ``▁`` is a space. Special tokens stand for no text."""
    text = text.encode("utf-8", "replace").decode()
    octets = OURS[case].octets()
    assert b"".join(octets[i] for i in OURS[case].spell(text)) == text.encode()
    read = b"".join(octets[i] for i in OURS[case].encode(text).ids)
    assert read == text.replace("▁", " ").encode()
    assert octets[END_OF_TURN] == NO_TEXT + b"<end_of_turn>"


def test_a_gap_between_ids_stands_for_no_text() -> None:
    """No text is spelled by a row of the table that has no piece."""

    def leave_out(content: Json) -> None:
        content["model"]["vocab"]["pumps"] = 900
        content["model"]["merges"].append(["pump", "s"])

    octets = BytePairs(changed(leave_out)).octets()
    assert (len(octets), octets[900]) == (901, b"pumps")
    assert octets[899].startswith(NO_TEXT)


GROWTH = """
import json, sys
from itertools import product
from string import ascii_lowercase, digits
from {module} import {name}
from edge_agent.memory import give_back

def anonymous_kib():
    give_back()
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

letters = ascii_lowercase + digits
merges = [pair for pair in product(letters, letters)]
merges += [("".join(pair), letter) for pair, letter in product(merges, letters)]
content = json.loads(sys.stdin.read())
pieces = dict.fromkeys([*content["model"]["vocab"], *map("".join, merges)])
content["model"]["vocab"] = dict(zip(pieces, range(len(pieces))))
content["model"]["merges"] = merges
made = json.dumps(content).encode()
del merges, content, pieces
before = anonymous_kib()
tokenizer = {making}(made)
print(anonymous_kib() - before)
"""


def growth_kib(module: str, name: str, making: str) -> int:
    """Of a fresh process by a tokenizer of 48,000 pieces and as many merges."""
    script = GROWTH.format(module=module, name=name, making=making)
    command = [sys.executable, "-c", script]
    characters = tokenizer_json(merges=False)
    return int(subprocess.run(command, input=characters, capture_output=True, check=True).stdout)


def test_it_takes_a_third_of_what_the_library_takes() -> None:
    """At Gemma's size that is 70 MB."""
    library = growth_kib("tokenizers", "Tokenizer", "Tokenizer.from_buffer")
    ours = growth_kib("edge_agent.inference.byte_pairs", "BytePairs", "BytePairs")
    assert 3 * ours < library


def set_in_model(**values: Any) -> bytes:
    return changed(lambda content: content["model"].update(values))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{}", "added_tokens"),
        (b"no JSON", "JSON"),
        (set_in_model(type="WordPiece"), "model.type"),
        (set_in_model(byte_fallback=False), "model.byte_fallback"),
        (set_in_model(dropout=0.1), "model.dropout"),
        (set_in_model(ignore_merges=True), "model.ignore_merges"),
        (set_in_model(continuing_subword_prefix="##"), "model.continuing_subword_prefix"),
        (set_in_model(merges=[["a", "nothing like it"]]), "nothing like it"),
        (set_in_model(merges=["a b c"]), "merges"),
        (changed(lambda content: content["model"]["vocab"].update({"<0xZZ>": 9})), "hexadecimal"),
        (changed(lambda content: content["model"]["vocab"].update(a=1 << 24)), "model.vocab.a"),
        (changed(lambda content: content.update(normalizer={"type": "none"})), "Normalizer"),
    ],
)
def test_another_tokenizer_is_refused(content: bytes, why: str) -> None:
    """The key, or the piece, is named; nothing is cut differently from how it was trained."""
    with pytest.raises(BundleError) as refused:
        BytePairs(content)
    assert why in refused.value.problem

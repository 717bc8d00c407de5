"""Smaller bases: the texts at hand are cut and computed as before, and the rest still works."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import Gemma3TextModel

from tests.support import tiny_bases
from tools.bases.base import Base, open_base
from tools.bases.pieces import trimmed
from tools.bases.trim import drop_layers, spread, trim_vocabulary
from tools.errors import ToolError
from tools.trunks.loading import load_encoder
from tools.trunks.weights import Weights

MAKERS = {"bert": tiny_bases.tiny_bert, "gemma3": tiny_bases.tiny_gemma3}
TOKENIZERS = {"bert": tiny_bases.wordpiece(), "gemma3": tiny_bases.pairs()}
ENDINGS, LINES, WORDS = tiny_bases.ENDINGS, tiny_bases.LINES, tiny_bases.WORDS
SHIPPED = Path(__file__).parents[2] / "models" / "gateway-default" / "tokenizer.json"
REAL = [
    "Pump P-101 is leaking since 06:40, please check!",
    "TT-204 112.5 °C > HH 105 — Überdruck im Kessel 3",
    "sshd[4532]: Failed password for root from 10.0.0.7 port 22",
    "Ölpumpe défaillante \U0001f525 电机过热\tnan/NaN\r\n\r\nend",
]
words = st.sampled_from([*WORDS, *(w + e for w in WORDS for e in ENDINGS), "the", "in", "\n\n"])
texts = st.lists(
    st.lists(words | st.text(max_size=4), max_size=8).map(" ".join) | st.text(max_size=20),
    min_size=1, max_size=4,
)  # fmt: skip
both = pytest.mark.parametrize("kind", MAKERS)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Base]:
    """One base of each kind, to be read only."""
    root = tmp_path_factory.mktemp("bases")
    return {kind: open_base(maker(root / kind)) for kind, maker in MAKERS.items()}


def cut(tokenizer: Tokenizer, text: str) -> tuple[list[str], list[tuple[int, int]]]:
    encoding = tokenizer.encode(text)
    return encoding.tokens, encoding.offsets


def assert_cut_alike(whole: Tokenizer, lines: list[str], safety: int) -> Tokenizer:
    found = trimmed(whole.to_str().encode(), lines, safety)
    small = Tokenizer.from_str(found.tokenizer)
    assert sorted(small.get_vocab().values()) == list(range(len(found.kept)))
    assert [small.id_to_token(i) for i in range(len(found.kept))] == [
        whole.id_to_token(i) for i in found.kept
    ]
    for line in lines:
        assert cut(small, line) == cut(whole, line)
    return small


@both
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=texts, safety=st.integers(0, 30))
@example(lines=REAL, safety=0)
@example(lines=["<unused0> <turn> [unused0] [MASK] <mask>"], safety=0)
def test_texts_are_cut_as_before(kind: str, lines: list[str], safety: int) -> None:
    """Same pieces at the same characters, and ids without gaps."""
    assert_cut_alike(TOKENIZERS[kind], lines, safety)


def test_the_vocabulary_of_the_shipped_bundle_is_cut_down_truly() -> None:
    whole = Tokenizer.from_file(str(SHIPPED))
    small = assert_cut_alike(whole, REAL, 4000)
    assert small.get_vocab_size() < whole.get_vocab_size() / 3
    assert {"pump", "maintenance", "##ing"} <= set(small.get_vocab())


@both
def test_words_never_seen_are_still_known(kind: str) -> None:
    """No text of ASCII becomes unknown, and every character of it is accounted for."""
    found = trimmed(TOKENIZERS[kind].to_str().encode(), ["pump"], 0)
    small = Tokenizer.from_str(found.tokenizer)
    printable = "".join(map(chr, range(33, 127)))
    tokens, offsets = cut(small, f"zyxw qqq7 {printable}")
    assert not {"[UNK]", "<unk>"} & set(tokens)
    covered = {i for start, end in offsets for i in range(start, end)}
    assert set(range(10, 10 + len(printable))) <= covered


def test_the_commonest_words_are_kept_and_placeholders_are_not() -> None:
    whole = TOKENIZERS["bert"].to_str().encode()
    few = Tokenizer.from_str(trimmed(whole, ["stop"], 3).tokenizer).get_vocab()
    kept = [word for word in WORDS if word in few]
    assert kept == [*WORDS[:3], "stop"]
    assert "[unused0]" not in few
    assert "[MASK]" in few


def test_pieces_on_the_way_to_a_kept_piece_are_kept_with_their_merges() -> None:
    whole = json.loads(TOKENIZERS["gemma3"].to_str())
    found = json.loads(trimmed(json.dumps(whole).encode(), LINES[:1], 5).tokenizer)["model"]
    merged = {"".join(pair) for pair in found["merges"]}
    assert {part for pair in found["merges"] for part in pair} <= set(found["vocab"])
    longer = {p for p in found["vocab"] if len(p) > 1 and not p.startswith("<") and p != "\n\n"}
    assert longer <= merged
    assert len(found["merges"]) < len(whole["model"]["merges"])


def test_merges_written_the_old_way_are_read() -> None:
    whole = json.loads(TOKENIZERS["gemma3"].to_str())
    whole["model"]["merges"] = [" ".join(pair) for pair in whole["model"]["merges"]]
    assert_cut_alike(Tokenizer.from_str(json.dumps(whole)), LINES[:3], 0)


@both
def test_a_trimmed_base_computes_what_the_whole_one_computes(
    bases: dict[str, Base], tmp_path: Path, kind: str
) -> None:
    """Through its own files: ids differ, states do not."""
    small = trim_vocabulary(bases[kind], LINES[:2], tmp_path / "small", safety=2)
    assert small.config["vocab_size"] < bases[kind].config["vocab_size"]
    for line in LINES[:2]:
        torch.testing.assert_close(states(small, line), states(bases[kind], line), atol=0, rtol=0)


def states(base: Base, text: str) -> torch.Tensor:
    ids = torch.tensor([Tokenizer.from_file(str(base.tokenizer)).encode(text).ids])
    encoder = load_encoder(base, 2, 0, 40).eval()
    with torch.no_grad():
        return encoder.states(ids, torch.ones_like(ids))[0]


@both
def test_special_tokens_keep_their_parts_under_new_ids(
    bases: dict[str, Base], tmp_path: Path, kind: str
) -> None:
    folder = Path(shutil.copytree(bases[kind].path, tmp_path / "base"))
    hole = {"bert": "[unused0]", "gemma3": "<unused0>"}[kind]
    (folder / "tokenizer_config.json").write_text(json.dumps({"mask_token": hole}))
    before = open_base(folder)
    after = trim_vocabulary(before, [f"stop {hole}"], tmp_path / "small", safety=0)
    for role in ("pad", "unk", "mask"):
        assert named(after, getattr(after.specials, role)) == named(
            before, getattr(before.specials, role)
        )
    assert [named(after, i) for i in after.specials.before] == [
        named(before, i) for i in before.specials.before
    ]
    assert after.config["pad_token_id"] == after.specials.pad
    if kind == "gemma3":
        assert (after.config["bos_token_id"],) == after.specials.before == (2,)


def named(base: Base, token: int) -> str:
    return Tokenizer.from_file(str(base.tokenizer)).id_to_token(token)


@both
def test_a_base_of_fewer_layers_has_those_layers(
    bases: dict[str, Base], tmp_path: Path, kind: str
) -> None:
    layers = bases[kind].config["num_hidden_layers"]
    small = drop_layers(bases[kind], (0, layers - 1), tmp_path / "small")
    whole, less = (load_encoder(base, 2, 2, 24) for base in (bases[kind], small))
    assert len(less.layers) == 2
    for ours, theirs in zip(less.layers, (whole.layers[0], whole.layers[-1]), strict=True):
        pairs_of = zip(ours.named_parameters(), theirs.parameters(), strict=True)
        for (name, found), expected in pairs_of:
            torch.testing.assert_close(found, expected, atol=0, rtol=0, msg=name)


def test_lists_of_positions_among_older_weights_are_no_hindrance(
    bases: dict[str, Base], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(bases["bert"].path, tmp_path / "base"))
    file = folder / "model.safetensors"
    save_file(load_file(file) | {"embeddings.position_ids": torch.arange(40)[None]}, file)
    small = drop_layers(open_base(folder), (0,), tmp_path / "small")
    assert "embeddings.position_ids" not in Weights(small).places


def test_a_layer_stays_sliding_or_full_wherever_it_comes_to_stand(
    bases: dict[str, Base], tmp_path: Path
) -> None:
    """transformers reads the folder the same way."""
    small = drop_layers(bases["gemma3"], (1, 2), tmp_path / "small")
    kinds = ["full_attention", "sliding_attention"]
    assert [layer.kind for layer in load_encoder(small, 2, 2, 24).layers] == kinds
    text = torch.tensor([[2, 300, 301, 302]])
    reference = Gemma3TextModel.from_pretrained(small.path, attn_implementation="eager").eval()
    with torch.no_grad():
        found = load_encoder(small, 2, 2, 24).eval().states(text, torch.ones_like(text))[0]
        expected = reference(text).last_hidden_state
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_derived_base_tells_where_it_comes_from(bases: dict[str, Base], tmp_path: Path) -> None:
    base = bases["bert"]
    one = drop_layers(base, (1,), tmp_path / "one")
    two = trim_vocabulary(one, ["pump"], tmp_path / "two", safety=0)
    left = two.config["vocab_size"]
    changes = ["kept the layers 1 of 2"]
    changes += [f"vocabulary trimmed from {base.config['vocab_size']} to {left} pieces"]
    assert two.provenance() == {**base.provenance(), "changes": changes}
    assert len(Weights(two).read("embeddings.word_embeddings.weight")) == left


def test_layers_are_spread_evenly_from_first_to_last() -> None:
    assert spread(6, 3) == (0, 2, 5)
    assert spread(6, 6) == (0, 1, 2, 3, 4, 5)
    assert spread(18, 2) == (0, 17)
    assert spread(6, 1) == (0,)
    for layers, count in [(n, k) for n in range(1, 30) for k in range(1, n + 1)]:
        assert len(set(spread(layers, count))) == count


@pytest.mark.parametrize(("layers", "count"), [(6, 0), (6, 7), (6, -1)])
def test_a_number_of_layers_that_there_is_not_is_refused(layers: int, count: int) -> None:
    with pytest.raises(ToolError, match="cannot be kept"):
        spread(layers, count)


@pytest.mark.parametrize("keep", [(), (1, 0), (0, 0), (0, 2), (-1,)])
def test_layers_that_are_no_choice_are_refused(
    bases: dict[str, Base], tmp_path: Path, keep: tuple[int, ...]
) -> None:
    with pytest.raises(ToolError, match="layers 0 to 1"):
        drop_layers(bases["bert"], keep, tmp_path / "small")
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize(("lines", "safety"), [([], 10), (["pump"], -1)])
def test_no_vocabulary_is_chosen_from_nothing(
    bases: dict[str, Base], tmp_path: Path, lines: list[str], safety: int
) -> None:
    with pytest.raises(ToolError, match="no vocabulary"):
        trim_vocabulary(bases["bert"], lines, tmp_path / "small", safety)


def test_a_vocabulary_of_another_type_is_refused() -> None:
    whole = json.loads(TOKENIZERS["bert"].to_str())
    whole["model"] = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0]]}
    with pytest.raises(ToolError, match="type Unigram"):
        trimmed(json.dumps(whole).encode(), ["pump"], 0)


def test_only_a_derived_base_is_replaced(bases: dict[str, Base], tmp_path: Path) -> None:
    first = drop_layers(bases["bert"], (0,), tmp_path / "small")
    again = drop_layers(bases["bert"], (0, 1), tmp_path / "small")
    assert again.config["num_hidden_layers"] == 2
    with pytest.raises(ToolError, match="would be replaced"):
        drop_layers(first, (0,), first.path)
    with pytest.raises(ToolError, match="would be replaced"):
        drop_layers(first, (0,), bases["bert"].path)


def test_a_folder_with_a_provenance_file_of_others_is_not_replaced(
    bases: dict[str, Base], tmp_path: Path
) -> None:
    (tmp_path / "provenance.json").write_text('{"builder": "ci"}')
    with pytest.raises(ToolError, match="is no base that was cut down"):
        drop_layers(bases["bert"], (0,), tmp_path)
    assert (tmp_path / "provenance.json").is_file()


def test_a_full_disk_ends_with_a_fix(bases: dict[str, Base], tmp_path: Path) -> None:
    """As everywhere else in a training."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 << 10, old[1]))
    try:
        with pytest.raises(ToolError, match=r"model\.safetensors cannot be written"):
            drop_layers(bases["bert"], (0,), tmp_path / "small")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)

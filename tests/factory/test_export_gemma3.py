"""``export-gemma3``: folders as transformers saves them to bundles that write."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from edge_agent.bundle import Bundle, load_bundle
from edge_agent.manifest import HEAD, MODEL, ROWS, TOKENIZER, WEIGHTS
from tests.factory.test_documented import commands
from tests.support.gemma3_cases import Case, open_graphs, shown, tiny
from tests.support.tiny_bases import edit, tiny_bert
from tools.__main__ import main
from tools.bases.base import open_base
from tools.export_gemma3 import TURNS
from tools.trunks.gemma3_generator import load_generator
from tools.trunks.quantise import blocks_on_grid, half_scales

CONTEXT = 96
TEXTS = ["check the pump in hall 7", 'replace the seal {"asset": "valve", "hall": 3}']


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to be read only."""
    return tiny(tmp_path_factory.mktemp("base") / "tiny", 16)


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    """A folder to be changed."""
    return Path(shutil.copytree(base, tmp_path / "base"))


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of the unchanged folder."""
    return export(base, tmp_path_factory.mktemp("bundles") / "whole")


def export(folder: Path, out: Path, *more: str) -> Bundle:
    assert main(["export-gemma3", str(folder), "--out", str(out), "--context", "96", *more]) == 0
    return load_bundle(out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said, problem and fix, when the command refuses."""
    assert main(["export-gemma3", *arguments]) == 2
    said = capsys.readouterr().err
    assert "\n  fix: " in said
    return said


def test_the_manifest_tells_sizes_licence_and_origin(whole: Bundle) -> None:
    manifest, shape = whole.manifest, whole.manifest.generator
    assert (manifest.kind, manifest.name, manifest.max_tokens) == ("generator", "whole", CONTEXT)
    assert (shape.layers, shape.key_heads, shape.head_size, shape.hidden) == (3, 2, 32, 64)
    tokenizer = Tokenizer.from_str(whole.contents[TOKENIZER].decode())
    assert shape.vocabulary == tokenizer.get_vocab_size()
    assert [tokenizer.id_to_token(i) for i in shape.stop_tokens] == ["<eos>"]
    assert manifest.provenance["base"]["name"] == "tiny"
    assert set(manifest.files) == {MODEL, HEAD, ROWS, WEIGHTS, TOKENIZER, "MODEL_CARD.md"}
    assert {file.name for file in whole.path.iterdir()} == {*manifest.files, "bundle.json"}


def test_the_bundle_has_the_graphs_of_the_folder(base: Path, whole: Bundle, tmp_path: Path) -> None:
    case = Case(base, tmp_path, 40, CONTEXT, int4=True)
    expected, found = case.graphs(accuracy_level=4), open_graphs(whole.path, CONTEXT)
    np.testing.assert_array_equal(found.feed(case.ids), expected.feed(case.ids))


def test_the_command_shown_works(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/gemma3.md shows it, with a smaller model."""
    shutil.copytree(base, tmp_path / "gemma-3-270m-it")
    monkeypatch.chdir(tmp_path)
    (shown_once,) = commands("docs/gemma3.md")
    assert main(shown_once) == 0
    assert load_bundle(Path("models/gemma")).manifest.max_tokens == 1024


def with_old_keys(folder: Path) -> None:
    """As transformers 4 writes them."""
    edit(folder, rope_parameters=None, layer_types=None, sliding_window_pattern=2,
         rope_theta=1e6, rope_local_base_freq=1e4)  # fmt: skip


def as_shards(folder: Path) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    places = {name: f"part-{i % 3}.safetensors" for i, name in enumerate(tensors)}
    for part in set(places.values()):
        save_file({n: x for n, x in tensors.items() if places[n] == part}, folder / part)
    (folder / f"{file.name}.index.json").write_text(json.dumps({"weight_map": places}))
    file.unlink()


def in_a_model_of_images(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    rewrapped = {"model_type": "gemma3", "text_config": config, "eos_token_id": [1]}
    (folder / "config.json").write_text(json.dumps(rewrapped))
    rename(folder, "model.language_model.{}".format)


def as_a_language_model(folder: Path) -> None:
    rename(folder, "model.{}".format)


def rename(folder: Path, name: Callable[[str], str]) -> None:
    file = folder / "model.safetensors"
    save_file({name(old): tensor for old, tensor in load_file(file).items()}, file)


@pytest.mark.parametrize(
    "rewrite", [with_old_keys, as_shards, in_a_model_of_images, as_a_language_model]
)
def test_the_same_model_gives_the_same_graphs_however_it_was_saved(
    folder: Path, whole: Bundle, tmp_path: Path, rewrite: Callable[[Path], None]
) -> None:
    rewrite(folder)
    found = export(folder, tmp_path / "out").manifest.files
    for name in (MODEL, HEAD, ROWS, WEIGHTS, TOKENIZER):
        assert found[name] == whole.manifest.files[name]


def with_turns(folder: Path) -> Path:
    """The tokenizer knows the tokens of a conversation."""
    file = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.add_special_tokens(["<start_of_turn>", "<end_of_turn>"])
    tokenizer.save(str(file))
    return folder


def test_a_text_ends_where_any_file_of_the_folder_says(folder: Path, tmp_path: Path) -> None:
    """And at the end of a turn, if the tokenizer has one."""
    edit(folder, eos_token_id=1)
    (folder / "generation_config.json").write_text('{"eos_token_id": [1, 6]}')
    stops = export(folder, tmp_path / "a").manifest.generator.stop_tokens
    assert stops == (1, 6)
    tokenizer = Tokenizer.from_file(str(with_turns(folder) / "tokenizer.json"))
    stops = export(folder, tmp_path / "b").manifest.generator.stop_tokens
    assert stops == (1, 6, tokenizer.token_to_id("<end_of_turn>"))


def trimmed(folder: Path, out: Path) -> Bundle:
    file = out.with_suffix(".txt")
    file.write_text("\n".join(TEXTS))
    return export(folder, out, "--trim-vocabulary", str(file), "--common-pieces", "5")


def test_a_trimmed_vocabulary_gives_the_same_logits(folder: Path, tmp_path: Path) -> None:
    """Of the pieces that are left, for texts cut into the same ones; stops are found again."""
    whole = export(with_turns(folder), tmp_path / "whole")
    small = trimmed(folder, tmp_path / "small")
    old, new = (Tokenizer.from_str(b.contents[TOKENIZER].decode()) for b in (whole, small))
    shape = small.manifest.generator
    assert shape.vocabulary == new.get_vocab_size() < old.get_vocab_size() - 30
    assert {new.id_to_token(i) for i in shape.stop_tokens} == {"<eos>", "<end_of_turn>"}
    before, after = (open_graphs(bundle.path, CONTEXT) for bundle in (whole, small))
    kept = [old.token_to_id(new.id_to_token(i)) for i in range(shape.vocabulary)]
    for text in (*TEXTS, TURNS):
        ids, others = old.encode(text).ids, new.encode(text).ids
        assert ids == [kept[i] for i in others]
        before.cut(0)
        after.cut(0)
        expected = before.logits(before.feed(ids))
        np.testing.assert_allclose(after.logits(after.feed(others)), expected[kept], atol=1e-4)


@pytest.fixture(scope="module")
def small_tokenizer(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    small = trimmed(base, tmp_path_factory.mktemp("trimmed") / "small")
    return Tokenizer.from_str(small.contents[TOKENIZER].decode())


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(st.characters(exclude_characters="▁", exclude_categories=["Cs"]), max_size=40))
def test_any_text_comes_back_from_a_trimmed_vocabulary(
    small_tokenizer: Tokenizer, text: str
) -> None:
    """Character by character, whatever is in it: bytes stand for what was trimmed away."""
    ids = small_tokenizer.encode(text, add_special_tokens=False).ids
    assert small_tokenizer.decode(ids, skip_special_tokens=False) == text


def put_on_grid(folder: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """Rounds every matrix of a folder to levels of Q4_0, and stores what ``dtype`` can hold."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    for name, tensor in tensors.items():
        if tensor.ndim == 2:
            tensors[name] = q4_0(tensor).to(dtype)
    save_file(tensors, file)
    return tensors


def q4_0(weight: Tensor) -> Tensor:
    """ggml's rounding: the extreme of 32 neighbours becomes level -8, d is a half float."""
    blocks = weight.unflatten(-1, (-1, 32))
    extreme = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    d = (extreme / -8).half().float()
    levels = torch.where(d == 0, 8.0, (blocks / d + 8.5).floor().clamp(0, 15))
    return ((levels - 8) * d).flatten(-2)


def test_weights_on_the_grid_lose_nothing(folder: Path, tmp_path: Path) -> None:
    """Bit for bit, so the graphs compute what transformers computes on the checkpoint itself."""
    put_on_grid(folder, torch.float32)
    bundle = export(folder, tmp_path / "out")
    assert bundle.manifest.quantisation["share_on_grid"] == 1.0
    case = Case(folder, tmp_path, 80, CONTEXT, int4=True)
    for module in case.model.quantised():
        assert torch.equal(shown(module), module.weight)
    original = Case(folder, tmp_path, 80, CONTEXT, int4=False)
    found = case.graphs().logits(case.graphs().feed(case.ids))
    expected = original.expected(case.ids, [79])[0]
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_grid_stored_in_bfloat16_is_still_seen(folder: Path, tmp_path: Path) -> None:
    """Rounding moves the values a little and leaves every one on its level."""
    exact = put_on_grid(Path(shutil.copytree(folder, tmp_path / "exact")), torch.float32)
    put_on_grid(folder, torch.bfloat16)
    model = load_generator(open_base(folder), CONTEXT)
    model.set_quantise()
    assert all(blocks_on_grid(m.weight, m.scales) == m.scales.numel() for m in model.quantised())
    table = exact["embed_tokens.weight"].unflatten(-1, (-1, 32))
    d = table.gather(-1, table.abs().argmax(-1, keepdim=True)) / -8
    scales = model.words.scales[: len(table), :, None]
    levels = (shown(model.words)[: len(table)].unflatten(-1, (-1, 32)) / scales).round()
    assert torch.equal(levels, (table / d).round())


def test_a_common_checkpoint_is_off_the_grid(whole: Bundle) -> None:
    assert whole.manifest.quantisation["share_on_grid"] < 0.01


def test_scales_are_half_floats_and_never_zero() -> None:
    weight = torch.cat([torch.zeros(1, 64), torch.randn(3, 64) * 1e-9, torch.randn(3, 64) * 1e3])
    scales = half_scales(weight)
    assert torch.equal(scales.half().float(), scales)
    assert (scales != 0).all()


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no weights"),
    "no shard": (lambda f: (as_shards(f), (f / "part-1.safetensors").unlink()), "part-1"),
    "other type": (lambda f: edit(f, model_type="gemma2"), "model_type gemma2"),
    "cap": (lambda f: edit(f, final_logit_softcapping=30.0), "final_logit_softcapping is 30.0"),
    "caps": (lambda f: edit(f, attn_logit_softcapping=50.0), "attn_logit_softcapping is 50.0"),
    "both ways": (lambda f: edit(f, use_bidirectional_attention=True), "bidirectional"),
    "own head": (lambda f: edit(f, tie_word_embeddings=False), "tie_word_embeddings is False"),
    "odd heads": (lambda f: edit(f, head_dim=24), "head_dim is 24"),
    "no end": (lambda f: edit(f, eos_token_id=None), "names no token that ends a text"),
    "long rope": (
        lambda f: edit(f, rope_parameters={"full_attention": {"rope_type": "yarn"}}),
        "rope_type 'yarn'",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_cannot_be_exported_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """The file or key, with what to do; nothing is written."""
    damage, said = BROKEN[how]
    damage(folder)
    assert said in refused(capsys, str(folder), "--out", str(tmp_path / "out"), "--context", "96")
    assert not (tmp_path / "out").exists()


def test_weights_that_are_no_numbers_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["layers.1.mlp.up_proj.weight"][3, 5] = float("nan")
    save_file(tensors, folder / "model.safetensors")
    said = refused(capsys, str(folder), "--out", str(tmp_path / "out"), "--context", "96")
    assert "no numbers" in said


def test_a_bert_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bert = tiny_bert(tmp_path / "bert")
    assert "is a bert" in refused(capsys, str(bert), "--out", str(tmp_path / "out"))


def test_what_else_is_asked_for_in_vain(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A context beyond the base's, a folder in use, texts that cannot be read, an encoder."""
    out, mine = str(tmp_path / "out"), tmp_path / "mine"
    assert "1000000 tokens" in refused(capsys, str(base), "--out", out, "--context", "1000000")
    mine.mkdir()
    (mine / "notes.jsonl").write_text("{")
    assert "is no bundle" in refused(capsys, str(base), "--out", str(mine))
    texts = ["--trim-vocabulary", str(mine / "notes.jsonl")]
    assert "notes.jsonl cannot be read" in refused(capsys, str(base), "--out", out, *texts)
    (mine / "notes.jsonl").write_text("\n")
    assert "chosen from 0 texts" in refused(capsys, str(base), "--out", out, *texts)
    said = refused(capsys, str(base), "--out", out, "--kind", "encoder")
    assert f"python -m tools train --base {base}" in said

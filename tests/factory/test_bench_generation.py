"""``python -m tools.bench.generation``: the same weights for both, and the arithmetic of turns."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from edge_agent.bundle import Bundle
from tests.support.gemma3_cases import Case, shown
from tests.support.tiny_bases import edit
from tools.bench.generation.__main__ import main
from tools.bench.generation.checkpoint import CONFIG, Recipe, write_checkpoint
from tools.bench.generation.gguf_file import write_gguf
from tools.bench.generation.turns import (
    Answered,
    FreeText,
    Speed,
    answers,
    speed_of,
    speeds,
    summary,
)
from tools.bench.page import Bar, missed, renew, table
from tools.errors import ToolError
from tools.export_gemma3 import Job, run

gguf = pytest.importorskip("gguf", reason="of the extra factory-test")

TEXTS = ["pump P-101 is leaking in hall 7", 'seal of valve V-2 {"asset":"valve","due":null}'] * 3
SIZES = {
    "vocab_size": 900, "hidden_size": 64, "num_hidden_layers": 6, "num_attention_heads": 4,
    "num_key_value_heads": 1, "head_dim": 32, "intermediate_size": 96, "sliding_window": 16,
    "query_pre_attn_scalar": 32, "layer_types": CONFIG["layer_types"][:6],
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = Recipe({**CONFIG, **SIZES}, learnt_pieces=400)
    return write_checkpoint(tmp_path_factory.mktemp("base") / "tiny", TEXTS, recipe)


@pytest.fixture(scope="module")
def bundle(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return run(Job(base, tmp_path_factory.mktemp("bundle") / "tiny", "tiny", context=64))


@pytest.fixture(scope="module")
def written(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return gguf.GGUFReader(write_gguf(bundle, tmp_path_factory.mktemp("gguf") / "tiny.gguf"))


def test_the_checkpoint_has_a_full_vocabulary_and_reads_any_text(base: Path) -> None:
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == SIZES["vocab_size"]
    text = "pump é 中 leaking"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_the_checkpoint_is_quantised_without_loss(bundle: Bundle) -> None:
    assert bundle.manifest.quantisation["share_on_grid"] == 1.0


def test_the_gguf_file_has_the_very_same_weights(base: Path, written: Any, tmp_path: Path) -> None:
    """Every matrix as its reader unpacks it, and every norm's factor."""
    model = Case(base, tmp_path, 1, 64, int4=True).model
    found = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in written.tensors}
    layer = model.layers[3]
    q, k, v = shown(layer.qkv).split(model.shape.widths)
    gate, up = shown(layer.ffn_in).chunk(2)
    expected = {
        "token_embd.weight": shown(model.words), "output_norm.weight": 1 + model.norm.weight,
        "blk.3.attn_q.weight": q, "blk.3.attn_k.weight": k, "blk.3.attn_v.weight": v,
        "blk.3.attn_output.weight": shown(layer.attention_out), "blk.3.ffn_gate.weight": gate,
        "blk.3.ffn_up.weight": up, "blk.3.ffn_down.weight": shown(layer.ffn_out),
        "blk.3.attn_norm.weight": 1 + layer.before_attention.weight,
        "blk.3.attn_q_norm.weight": 1 + layer.query_norm.weight,
    }  # fmt: skip
    for name, weight in expected.items():
        np.testing.assert_array_equal(found[name], weight.numpy(), err_msg=name)
    assert len(found) == 2 + 6 * 13


def test_the_gguf_file_tells_the_sizes(written: Any) -> None:
    def value(name: str) -> Any:
        return written.get_field(f"gemma3.{name}").contents()

    assert value("block_count") == 6
    assert (value("embedding_length"), value("feed_forward_length")) == (64, 96)
    assert (value("attention.head_count"), value("attention.head_count_kv")) == (4, 1)
    assert (value("attention.key_length"), value("attention.sliding_window")) == (32, 16)
    assert value("attention.sliding_window_pattern") == 6
    assert value("rope.freq_base") == pytest.approx(1e6, rel=1e-5)
    assert value("rope.freq_base_swa") == pytest.approx(1e4, rel=1e-5)


def test_the_gguf_file_has_the_pieces(base: Path, written: Any) -> None:
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    pieces = written.get_field("tokenizer.ggml.tokens").contents()
    assert pieces == [tokenizer.id_to_token(i) for i in range(SIZES["vocab_size"])]
    kinds = written.get_field("tokenizer.ggml.token_type").contents()
    assert [kinds[i] for i in (0, 3, 6, 261, 262)] == [3, 2, 6, 6, 1]


def test_layers_that_llama_cpp_would_mix_up_are_refused(base: Path, tmp_path: Path) -> None:
    """Full layers at irregular distances cannot be told in such a file."""
    folder = Path(shutil.copytree(base, tmp_path / "base"))
    kinds = ["full_attention", *["sliding_attention"] * 5]
    edit(folder, layer_types=kinds)
    bundle = run(Job(folder, tmp_path / "out", "tiny", context=64))
    with pytest.raises(ToolError, match="no such order"):
        write_gguf(bundle, tmp_path / "tiny.gguf")


@pytest.mark.parametrize("package", ["llama_cpp", "gguf", "onnxruntime_genai"])
def test_what_is_missing_is_told_before_anything_is_made(
    package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("llama_cpp", "gguf", "onnxruntime_genai"):
        monkeypatch.setitem(sys.modules, name, None if name == package else ModuleType(name))
    folder = tmp_path / "made"
    command = ["bench", "--folder", str(folder), "--genai", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    assert main() == 2
    said = capsys.readouterr().err
    assert package.replace("_", "-").removesuffix("-cpp") in said
    assert "\n  fix: pip install" in said
    assert not folder.exists()


class Counting:
    """An entrant that writes 1, 2, 3 … and holds what it was fed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.held: list[int] = []
        self.fed: list[int] = []

    def feed(self, tokens: Sequence[int]) -> None:
        self.held += tokens
        self.fed.append(len(tokens))

    def next_token(self) -> int:
        return len(self.held)

    def cut(self, length: int) -> None:
        del self.held[length:]


def ticking(step_s: float) -> Iterator[float]:
    now_s = 0.0
    while True:
        yield now_s
        now_s += step_s


def test_a_speed_is_tokens_over_seconds() -> None:
    ticks = ticking(2.0)
    speed = speed_of(Counting("a"), [5] * 128, lambda: next(ticks))
    assert speed == Speed(prefill=64.0, decode=32.0)


def test_every_entrant_takes_every_turn_and_the_first_does_not_count() -> None:
    ticks = ticking(1.0)
    found = speeds([Counting("a"), Counting("b")], [5] * 4, 3, lambda: next(ticks))
    assert {name: len(turns) for name, turns in found.items()} == {"a": 3, "b": 3}


def test_ratios_are_taken_within_a_turn() -> None:
    """A turn in which the machine was slow does not tilt them."""
    found = {
        "ours": [Speed(20, 2), Speed(200, 20), Speed(40, 3)],
        "theirs": [Speed(10, 1), Speed(100, 10), Speed(20, 4)],
    }
    figures = summary("ours", found)
    assert (figures["prefill to theirs"], figures["decode to theirs"]) == (2.0, 2.0)
    assert (figures["prefill ours, tok/s"], figures["decode theirs, tok/s"]) == (40, 4)


def test_what_two_prompts_share_is_read_once() -> None:
    entrant = Counting("a")
    free = FreeText(entrant)
    assert free.write([7, 8, 9], 3) == [3, 4, 5]
    assert (entrant.held, entrant.fed) == ([7, 8, 9, 3, 4], [3, 1, 1])
    free.write([7, 8, 6, 5], 1)
    assert (entrant.held, entrant.fed[3:]) == ([7, 8, 6, 5], [2])


def test_the_last_token_of_a_prompt_is_always_read() -> None:
    """Else nothing would be known about what comes next."""
    entrant = Counting("a")
    free = FreeText(entrant)
    free.write([7, 8], 1)
    free.write([7, 8], 1)
    assert (entrant.held, entrant.fed) == ([7, 8], [2, 1])


def test_answers_are_compared_message_by_message() -> None:
    found = answers([Answered(10, 1.0, 4.0), Answered(20, 3.0, 6.0), Answered(30, 1.0, 8.0)])
    assert found["to llama.cpp"] == 0.25
    assert (found["tokens"], found["ours, ms"]) == (20, 1000)


def test_a_missed_bar_is_said(tmp_path: Path) -> None:
    bars = (Bar("size", "m", "mb", 10), Bar("rate", "m", "per_s", 5, at_least=True))
    results = {"m": {"mb": 11.0, "per_s": 6.0}}
    assert missed(bars, results) == ["size"]
    assert "| size | 11.00: **missed** | ≤ 10 |\n| rate | 6.00 | ≥ 5 |" in table(bars, results)


def test_only_the_named_part_of_the_page_is_renewed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "a\n<!-- measured: x -->\nold\n<!-- end -->\n<!-- measured: y -->\n<!-- end -->"
    )
    renew("x", "new\n", page)
    expected = "a\n<!-- measured: x -->\nnew\n<!-- end -->\n<!-- measured: y -->\n<!-- end -->"
    assert page.read_text() == expected


def test_the_weights_are_on_levels_before_any_program_sees_them(base: Path) -> None:
    table = load_file(base / "model.safetensors")["model.embed_tokens.weight"]
    blocks = table.unflatten(-1, (-1, 32))
    extreme = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    levels = blocks / (extreme / -8)
    assert torch.equal(levels, levels.round())
    assert json.loads((base / "config.json").read_text())["vocab_size"] == len(table)

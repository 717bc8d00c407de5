"""Gemma 3 models with random weights that write, as transformers has them and as our graphs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Gemma3ForCausalLM

from edge_agent.inference.causal import CausalModel
from edge_agent.inference.session import CachedSession, Session
from edge_agent.manifest import HEAD, MODEL, ROWS, WEIGHTS
from tests.support import tiny_bases
from tools.bases.base import open_base
from tools.export.generator import build_generator
from tools.export.weight_file import write_graphs
from tools.trunks.gemma3_generator import Gemma3Generator, load_generator
from tools.trunks.parts import QuantLinear, Words
from tools.trunks.quantise import dequantised

Floats = NDArray[np.float32]
SIZES = {"head_dim": 32, "max_position_embeddings": 1024, "use_bidirectional_attention": False}
TRUE_SIZES = {
    "vocab_size": 262144, "hidden_size": 640, "num_hidden_layers": 18, "num_attention_heads": 4,
    "num_key_value_heads": 1, "head_dim": 256, "intermediate_size": 2048,
    "query_pre_attn_scalar": 256, "sliding_window": 512, "max_position_embeddings": 32768,
    "use_bidirectional_attention": False,
    "layer_types": [("full" if i % 6 == 5 else "sliding") + "_attention" for i in range(18)],
}  # fmt: skip
"""Of Gemma 3 270M."""


@dataclass
class Case:
    """A folder, and texts of ``tokens`` for it. Weights are rounded to INT4 levels if ``int4``."""

    folder: Path
    scratch: Path
    tokens: int
    context: int
    int4: bool

    @cached_property
    def model(self) -> Gemma3Generator:
        model = load_generator(open_base(self.folder), self.context)
        if self.int4:
            model.set_quantise()
        return model

    @cached_property
    def reference(self) -> Gemma3ForCausalLM:
        """transformers on the weights that the graphs have."""
        found = Gemma3ForCausalLM.from_pretrained(self.folder, attn_implementation="eager").eval()
        if self.int4:
            with torch.no_grad():
                show_levels(found, self.model)
        return found

    @cached_property
    def ids(self) -> list[int]:
        generator = torch.Generator().manual_seed(1)
        size = self.model.shape.vocabulary
        return torch.randint(5, size, (self.tokens,), generator=generator).tolist()

    def expected(self, ids: list[int], positions: list[int]) -> Floats:
        """Logits of transformers at some positions of a text: [positions, V]."""
        with torch.no_grad():
            keep = torch.tensor(positions)
            return self.reference(torch.tensor([ids]), logits_to_keep=keep).logits[0].numpy()

    def graphs(self, accuracy_level: int = 0) -> CausalModel:
        """Our graphs as the agent runs them."""
        out = self.scratch / f"graphs{accuracy_level}"
        if not out.exists():
            out.mkdir(parents=True)
            write_graphs(build_generator(self.model, accuracy_level), out, WEIGHTS)
        return open_graphs(out, self.context)


def open_graphs(folder: Path, context: int) -> CausalModel:
    """The three graphs in a folder, each on one thread."""
    trunk = CachedSession((folder / MODEL).read_bytes(), 1, context, folder)
    head, rows = (Session((folder / name).read_bytes(), 1, folder) for name in (HEAD, ROWS))
    return CausalModel(trunk, head, rows)


def show_levels(reference: Gemma3ForCausalLM, model: Gemma3Generator) -> None:
    """Puts the dequantised weights of ``model`` into ``reference``."""
    reference.model.embed_tokens.weight.copy_(shown(model.words))
    for theirs, ours in zip(reference.model.layers, model.layers, strict=True):
        attention, mlp = theirs.self_attn, theirs.mlp
        q, k, v = shown(ours.qkv).split(model.shape.widths)
        gate, up = shown(ours.ffn_in).chunk(2)
        for linear, weight in (
            (attention.q_proj, q), (attention.k_proj, k), (attention.v_proj, v),
            (attention.o_proj, shown(ours.attention_out)),
            (mlp.gate_proj, gate), (mlp.up_proj, up), (mlp.down_proj, shown(ours.ffn_out)),
        ):  # fmt: skip
            linear.weight.copy_(weight)


def shown(module: QuantLinear | Words) -> Tensor:
    """The weights as the runtime sees them, however large the table."""
    parts = zip(module.weight.split(8192), module.scales.split(8192), strict=True)
    return torch.cat([dequantised(*part) for part in parts])


def tiny(folder: Path, window: int) -> Path:
    """Three layers, of which two slide."""
    return tiny_bases.tiny_gemma3(folder, sliding_window=window, **SIZES)


def true_shape(folder: Path) -> Path:
    """Gemma 3 270M, but for its weights and its pieces."""
    tiny_bases.tiny_gemma3(folder, **TRUE_SIZES)
    (folder / "tokenizer.json").write_text(large_tokenizer(), encoding="utf-8")
    return folder


def large_tokenizer() -> str:
    """As many pieces as the family's tokenizer has, and about as many merges."""
    whole = json.loads(tiny_bases.pairs().to_str())
    vocabulary = whole["model"]["vocab"]
    taken = {*vocabulary, *(token["content"] for token in whole["added_tokens"])}
    known = [piece for piece in vocabulary if len(piece) == 1]
    start, merges = 1 + max(token["id"] for token in whole["added_tokens"]), []
    below = Random(4).randrange
    while start + len(merges) < TRUE_SIZES["vocab_size"]:
        pair = (known[below(min(len(known), 20000))], known[below(min(len(known), 2000))])
        piece = "".join(pair)
        if len(piece) <= 12 and piece not in taken:
            taken.add(piece)
            known.append(piece)
            vocabulary[piece] = start + len(merges)
            merges.append(pair)
    first = {*merges}
    others = [(p[:i], p[i:]) for p in known for i in range(1, len(p))]
    others = [pair for pair in others if {*pair} <= taken and pair not in first]
    whole["model"]["merges"] += merges + others[: len(merges)]
    return json.dumps(whole, ensure_ascii=False)

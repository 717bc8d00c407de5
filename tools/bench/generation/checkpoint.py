"""A Gemma 3 folder to measure with: the true shape, random weights, and as many pieces.

The weights lie on the levels of Q4_0, so every program quantises them to the same blocks. The first
pieces are learnt from messages and answers, so that these are cut about as Gemma's tokenizer cuts
them; made-up ones fill the vocabulary, because its size is what costs time and memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from edge_agent.types import JsonObject
from tools.bases.fresh import SPACE, STOPS, byte_pairs, random_weights
from tools.trunks.quantise import CENTRE, as_blocks

LEARNT_PIECES = 8192
LONGEST_PIECE = 12
PIECES = rf"{SPACE}?[^\W\d_]+|\d|[^\w{SPACE}]+|{SPACE}|_"
"""What is never merged with its neighbours: a word with the space before it, a digit, marks."""
LAYERS = 18
CONFIG = {
    "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "vocab_size": 262144,
    "hidden_size": 640, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
    "num_key_value_heads": 1, "head_dim": 256, "intermediate_size": 2048, "rms_norm_eps": 1e-6,
    "query_pre_attn_scalar": 256, "sliding_window": 512, "max_position_embeddings": 32768,
    "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True,
    "attention_bias": False, "rope_theta": 1e6, "rope_local_base_freq": 1e4,
    "layer_types": [("full" if i % 6 == 5 else "sliding") + "_attention" for i in range(LAYERS)],
    "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": list(STOPS), "dtype": "float32",
}  # fmt: skip
"""Of Gemma 3 270M."""


@dataclass(frozen=True)
class Recipe:
    """What to make. ``config`` as in config.json."""

    config: dict[str, Any] = field(default_factory=lambda: dict(CONFIG))
    learnt_pieces: int = LEARNT_PIECES
    seed: int = 7


def write_checkpoint(folder: Path, texts: Iterable[str], recipe: Recipe) -> Path:
    """A folder as transformers saves it; the same texts and recipe give the same bytes."""
    folder.mkdir(parents=True)
    tokenizer = filled(byte_pairs(texts, PIECES, recipe.learnt_pieces), recipe)
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(recipe.config, indent=1), encoding="utf-8")
    weights = random_weights(recipe.config, recipe.seed)
    rounded = {name: on_levels(w) if w.ndim == 2 else w for name, w in weights.items()}
    save_file(rounded, folder / "model.safetensors", {"format": "pt"})
    return folder


def on_levels(weight: Tensor) -> Tensor:
    """Each block's extreme becomes level -8 of a scale that float16 holds: [N, K] -> [N, K]."""
    blocks = as_blocks(weight)
    extreme = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    scale = (extreme / -CENTRE).half().float()
    levels = (blocks / scale).round_().clamp_(-CENTRE, CENTRE - 1)
    return levels.mul_(scale).flatten(-2)


def filled(content: JsonObject, recipe: Recipe) -> str:
    """A tokenizer.json with made-up pieces up to the vocabulary's size, twice as many merges."""
    vocabulary, merges = content["model"]["vocab"], content["model"]["merges"]
    known = [piece for piece in vocabulary if len(piece) == 1 and piece.isalpha()]
    below, taken = Random(recipe.seed).randrange, set(map(tuple, merges))
    while len(vocabulary) < recipe.config["vocab_size"]:
        left, right = (known[below(min(len(known), most))] for most in (20000, 2000))
        piece = left + right
        if piece not in vocabulary and len(piece) <= LONGEST_PIECE:
            vocabulary[piece] = len(vocabulary)
            known.append(piece)
            merges.append([left, right])
            taken.add((left, right))
    splits = ((p[:i], p[i:]) for p in known for i in range(1, len(p)))
    others = (s for s in splits if s not in taken and s[0] in vocabulary and s[1] in vocabulary)
    merges += islice(map(list, others), len(merges))
    return json.dumps(content, ensure_ascii=False)

"""A base that knows nothing yet: a Gemma 3 of random weights, and a tokenizer learnt from texts.

What is copied from a message into an answer should be the same tokens in both. So words, digits
and all other characters, the space too, are cut apart before anything is merged: a word is split
alike whatever stands around it. The keys of a task's JSON become one token each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from torch import Tensor

from edge_agent.types import JsonObject
from tools.bases.base import ORIGIN, Base, open_base
from tools.bases.digests import sha256_of
from tools.bases.saving import save_weights
from tools.bases.vectors import word_vectors

SHAPE = Path(__file__).with_name("small_gemma3.json")
SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
STOPS = (1, 5)
OCTETS = tuple(f"<0x{octet:02X}>" for octet in range(256))
SPACE = "▁"
WORD = r"[^\W\d_]+|[\s\S]"
NORMS = (
    "input_layernorm", "post_attention_layernorm",
    "pre_feedforward_layernorm", "post_feedforward_layernorm",
)  # fmt: skip
WORDS = "model.embed_tokens.weight"
SPREAD = 0.02
"""Of the random weights of products; the word table's make states and logits of size 1."""


@dataclass(frozen=True)
class Sizes:
    """``config`` as in config.json; the vocabulary has at most so many entries."""

    vocabulary: int = 4096
    seed: int = 7
    config: dict[str, Any] = field(default_factory=lambda: json.loads(SHAPE.read_text()))


def fresh_base(
    folder: Path,
    texts: Iterable[str],
    schema: JsonObject | None,
    sizes: Sizes,
    words_of: Base | None = None,
) -> Base:
    """Writes a base into ``folder`` and opens it; the same texts and seed give the same bytes.

    The random weights take over the word vectors of ``words_of``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = learnt_tokenizer(texts, key_names(schema), sizes.vocabulary)
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    vocabulary = json.loads(tokenizer)["model"]["vocab"]
    config = {**sizes.config, "vocab_size": len(vocabulary)}
    config |= {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": list(STOPS)}
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    weights, name = random_weights(config, sizes.seed), f"random weights, seed {sizes.seed}"
    if words_of:
        pieces = sorted(vocabulary, key=vocabulary.__getitem__)
        take_words(weights[WORDS], word_vectors(words_of, pieces, config["hidden_size"]))
        name += f", words of {words_of.provenance()['name']}"
    save_weights(weights, folder / "model.safetensors")
    origin = {"name": name, "licence": "Apache-2.0",
              "sha256": sha256_of(folder / "model.safetensors")}  # fmt: skip
    (folder / ORIGIN).write_text(json.dumps(origin), encoding="utf-8")
    return open_base(folder)


def take_words(table: Tensor, vectors: Tensor) -> None:
    """Puts vectors of spread 1 into a random table of the same shape, with a tenth of its noise."""
    known = vectors.any(1)
    table[known] = 0.1 * table[known] + vectors[known] * table.shape[1] ** -0.5


def learnt_tokenizer(texts: Iterable[str], keys: Sequence[str], most: int) -> str:
    """Of at most so many entries, as tokenizer.json."""
    return json.dumps(byte_pairs(texts, _pieces(keys), most), ensure_ascii=False)


def byte_pairs(texts: Iterable[str], pieces: str, most: int) -> JsonObject:
    """BPE with bytes to fall back on, as tokenizer.json has it.

    What the regular expression ``pieces`` finds is never merged with its neighbours.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", SPACE)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pieces), "isolated")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    letters = [SPACE, *map(chr, range(33, 127))]
    trainer = trainers.BpeTrainer(
        vocab_size=most, min_frequency=2, special_tokens=[*SPECIAL, *OCTETS],
        initial_alphabet=letters, limit_alphabet=len(letters) + 64, show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", SPECIAL.index("<bos>"))]
    )
    content: JsonObject = json.loads(tokenizer.to_str())
    content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] in SPECIAL]
    return content


def key_names(schema: JsonObject | None) -> tuple[str, ...]:
    """Names of all properties anywhere in a schema."""
    if not isinstance(schema, dict):
        return ()
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    inner += [schema["items"]] if "items" in schema else []
    below = [name for part in inner for name in key_names(part)]
    return tuple(dict.fromkeys([*schema.get("properties", {}), *below]))


def _pieces(keys: Sequence[str]) -> str:
    """What is never merged with its neighbours: a key with its marks, a word, one character."""
    if not keys:
        return WORD
    spelled = "|".join(re.escape(json.dumps(key, ensure_ascii=False)[1:-1]) for key in keys)
    return rf'[{{,]"(?:{spelled})":|{WORD}'.replace(" ", SPACE)


def random_weights(config: dict[str, Any], seed: int) -> dict[str, Tensor]:
    """Tensors under the names of the family: products and table normal, norms at 1."""
    generator = torch.Generator().manual_seed(seed)
    hidden, ffn, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    wide = config["num_attention_heads"] * head
    narrow = config["num_key_value_heads"] * head
    layer = {
        "self_attn.q_proj": (wide, hidden), "self_attn.k_proj": (narrow, hidden),
        "self_attn.v_proj": (narrow, hidden), "self_attn.o_proj": (hidden, wide),
        "mlp.gate_proj": (ffn, hidden), "mlp.up_proj": (ffn, hidden),
        "mlp.down_proj": (hidden, ffn),
        "self_attn.q_norm": (head,), "self_attn.k_norm": (head,),
        **dict.fromkeys(NORMS, (hidden,)),
    }  # fmt: skip
    shapes = {"embed_tokens": (config["vocab_size"], hidden), "norm": (hidden,)}
    for index in range(config["num_hidden_layers"]):
        shapes |= {f"layers.{index}.{name}": shape for name, shape in layer.items()}
    spreads = {"embed_tokens": hidden**-0.5}
    return {
        f"model.{name}.weight": torch.zeros(shape) if len(shape) == 1
        else torch.randn(shape, generator=generator) * spreads.get(name, SPREAD)
        for name, shape in shapes.items()
    }  # fmt: skip

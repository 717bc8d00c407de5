"""Base folders of a few KB, written by transformers itself, with random weights.

``tiny_bert`` splits words by WordPiece, ``tiny_gemma3`` by pairs with bytes to fall back on.
"""

from __future__ import annotations

import json
from pathlib import Path
from string import ascii_lowercase, digits, punctuation
from typing import Any

import torch
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from torch import Tensor, nn
from transformers import BertConfig, BertModel, Gemma3TextConfig, Gemma3TextModel

from tools.bases.base import open_base
from tools.trunks.loading import Encoder, load_encoder

WORDS = ("pump", "leak", "fan", "valve", "motor", "bearing", "temp", "high", "low", "stop", "seal")
ENDINGS = ("s", "ing", "ed", "er")
LINES = [
    f"{verb} the {word}{ending} in hall {number}\n\n"
    for number, word in enumerate(WORDS)
    for verb in ("check", "replace", "open", "leaking")
    for ending in ("", *ENDINGS)
]
SPREAD = 0.3


def tiny_bert(folder: Path, **changes: Any) -> Path:
    """A BERT of two layers. ``changes`` go into its config."""
    wordpiece().save(str(made(folder) / "tokenizer.json"))
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 128, "max_position_embeddings": 40}  # fmt: skip
    config = BertConfig(vocab_size=wordpiece().get_vocab_size(), **{**sizes, **changes})
    return saved(BertModel(config, add_pooling_layer=False), folder)


def tiny_gemma3(folder: Path, **changes: Any) -> Path:
    """A Gemma 3 of three layers, sliding but for the second. ``changes`` go into its config."""
    pairs().save(str(made(folder) / "tokenizer.json"))
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    sizes = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 24, "intermediate_size": 96,
             "query_pre_attn_scalar": 20, "max_position_embeddings": 64, "layer_types": kinds,
             "use_bidirectional_attention": True, "bos_token_id": 3,
             "vocab_size": pairs().get_vocab_size(with_added_tokens=True)}  # fmt: skip
    config = Gemma3TextConfig(**{**sizes, **changes})
    return saved(Gemma3TextModel(config), folder)


def made(folder: Path) -> Path:
    """The folder; from here on a model begins with the same weights every time."""
    torch.manual_seed(5)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def saved(model: nn.Module, folder: Path) -> Path:
    """The model in ``folder``, its weights spread wider."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(noise, alpha=SPREAD)
    model.eval().save_pretrained(folder)
    return folder


def wordpiece() -> Tokenizer:
    """Lower-case words, their endings, and every single character."""
    single = [*ascii_lowercase, *digits, *punctuation, "é", "中"]
    tokens = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *single]
    tokens += (
        [f"##{c}" for c in (*ascii_lowercase, *digits)] + [*WORDS] + [f"##{e}" for e in ENDINGS]
    )
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    around = [(name, vocabulary[name]) for name in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*around)
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return tokenizer


def pairs() -> Tokenizer:
    """Merged pairs learnt from LINES; spaces are part of words, and bytes stand for the unknown."""
    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=400, show_progress=False, initial_alphabet=[*ascii_lowercase, "é", "中"]
    )
    learnt.train_from_iterator(LINES * 3, trainer)
    model = json.loads(learnt.to_str())["model"]
    tokens = ["<pad>", "<eos>", "<unused1>", "<bos>", "<unk>", "<mask>"]
    tokens += [f"<0x{byte:02X}>" for byte in range(256)] + list(model["vocab"])
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    merges = [tuple(pair) for pair in model["merges"]]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", vocabulary["<bos>"])]
    )
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    tokenizer.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"])
    tokenizer.add_special_tokens(["<unused0>", "<turn>"])
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False)])
    return tokenizer


MAKERS = {"bert": tiny_bert, "gemma3": tiny_gemma3}


def loaded(folder: Path) -> Encoder:
    """An encoder of three routes and two labels on the base in ``folder``."""
    torch.manual_seed(3)
    return load_encoder(open_base(folder), routes=3, labels=2, max_tokens=24).eval()


def inputs() -> tuple[Tensor, Tensor]:
    """Ids and mask of three messages, two of them padded."""
    ids = torch.randint(5, 90, (3, 12), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 5:], mask[2, 11:] = 0, 0
    return ids, mask


def edit(folder: Path, **changes: object) -> Path:
    """Keys of config.json set, or taken out where None."""
    file = folder / "config.json"
    config = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return folder

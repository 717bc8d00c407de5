"""Word vectors of a BERT-shaped base for the pieces of another vocabulary.

A model of random weights knows nothing of words that its few messages never hold; with these it
begins with which words are like which.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from torch import Tensor

from tools.bases.base import Base, read_tokenizer

TABLE = "embeddings.word_embeddings.weight"
SPACE = "▁"


def word_vectors(base: Base, pieces: Sequence[str], width: int) -> Tensor:
    """[pieces, width], mean 0 and spread 1 over all words of the base; 0 where it knows no such.

    The principal axes of the base's table, as many as ``width`` has room for. A piece that the base
    cuts is the sum of its parts over the root of their number.
    """
    with safe_open(base.weights[0], "pt") as file:
        name = next(key for key in file.keys() if key.endswith(TABLE))  # noqa: SIM118
        table = file.get_tensor(name).float()
    table -= table.mean(0)
    axes = torch.linalg.eigh(table.T @ table).eigenvectors.flip(1)[:, :width]
    table = table @ axes
    table /= table.std()
    tokenizer, unknown = read_tokenizer(base.tokenizer), base.specials.unk
    vectors = torch.zeros(len(pieces), width)
    for row, piece in enumerate(pieces):
        ids = [i for i in _ids(tokenizer, piece) if i != unknown]
        if ids:
            vectors[row, : table.shape[1]] = table[ids].sum(0) / len(ids) ** 0.5
    return vectors


def _ids(tokenizer: Tokenizer, piece: str) -> list[int]:
    """None for the names of special tokens and bytes."""
    if piece.startswith("<"):
        return []
    text = piece.replace(SPACE, " ").strip()
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids

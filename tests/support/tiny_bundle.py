"""A bundle of a few KB whose model reads words: each known word votes for a route and is a tag.

The model is two embedding tables. ``route_logits`` is the sum of a text's word votes;
``tag_logits`` is each word's own row. Deterministic, and obvious enough to say by eye what must
come out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

Words = Mapping[str, Sequence[str]]
Floats = NDArray[np.float32]
Breakage = Literal[
    "digest", "missing-file", "manifest", "path", "link", "onnx", "tokenizer", "routes", "labels"
]
OWN = {"bundle.json", "bundle.json.sig"}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
VOTE = 8.0

ROUTES: Words = {
    "fault": ("fault", "leaking", "broken", "noisy"),
    "alarm": ("alarm", "fire", "gas"),
    "reading": ("reading", "temp", "level", "ok"),
    "command": ("command", "open", "close", "start"),
    "other": (),
}
"""Words that vote for each route. The last route wins where no word votes."""

LABELS: Words = {
    "asset": ("pump", "valve", "tank", "+7", "+12"),
    "symptom": ("leaking", "broken", "noisy"),
    "location": ("hall",),
    "time": ("today", "yesterday"),
}
"""Words that begin an entity of each label; with ``+``, that continue one."""


@dataclass(frozen=True)
class Vocabulary:
    """Words to ids. The first ids are the special tokens."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, *tables: Words) -> Vocabulary:
        """The words of all tables, sorted."""
        words = {w.lstrip("+") for table in tables for row in table.values() for w in row}
        return cls((*SPECIAL, *sorted(words)))

    def id(self, word: str) -> int:
        """The row of a word in both tables."""
        return self.words.index(word.lstrip("+"))


def tiny_bundle(
    path: Path, routes: Words = ROUTES, labels: Words = LABELS, max_tokens: int = 32
) -> Path:
    """Writes the bundle into the folder ``path`` and returns it.

    Either table may be empty: the bundle then has no routes, or no labels.
    """
    path.mkdir(parents=True, exist_ok=True)
    vocabulary = Vocabulary.of(routes, labels)
    model = _model(_route_votes(vocabulary, routes), _tag_scores(vocabulary, labels))
    (path / "model.onnx").write_bytes(model.SerializeToString())
    (path / "tokenizer.json").write_text(_tokenizer(vocabulary).to_str())
    (path / "golden.jsonl").write_text("")
    write_manifest(path, _manifest(routes, labels, max_tokens))
    return path


def write_manifest(path: Path, manifest: dict[str, object]) -> None:
    """Writes ``bundle.json`` with the digests of the files as they are now."""
    names = sorted(file.name for file in path.iterdir() if file.name not in OWN)
    files = {name: entry((path / name).read_bytes()) for name in names}
    (path / "bundle.json").write_text(json.dumps({**manifest, "files": files}, indent=1))


def break_bundle(path: Path, how: Breakage) -> Path:
    """Damages a bundle in one way. Returns ``path``."""
    manifest = json.loads((path / "bundle.json").read_text())
    if how == "digest":
        content = (path / "model.onnx").read_bytes()
        (path / "model.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "missing-file":
        (path / "model.onnx").unlink()
    elif how == "manifest":
        (path / "bundle.json").write_text('{"format": 1, ')
    elif how == "path":
        manifest["files"]["../outside"] = manifest["files"]["golden.jsonl"]
        (path / "bundle.json").write_text(json.dumps(manifest))
    elif how == "link":
        (path / "model.onnx").rename(path / "elsewhere.onnx")
        (path / "model.onnx").symlink_to(path / "elsewhere.onnx")
    else:
        _break_content(path, how, manifest)
    return path


def _break_content(path: Path, how: Breakage, manifest: dict[str, object]) -> None:
    """Wrong contents with right digests: only the runtime can notice."""
    if how == "onnx":
        (path / "model.onnx").write_bytes(b"no model")
    elif how == "tokenizer":
        (path / "tokenizer.json").write_text("{}")
    else:
        manifest[how] = [*manifest[how], "one-more"]  # type: ignore[misc]
    write_manifest(path, manifest)


def entry(content: bytes) -> dict[str, object]:
    """What the manifest says of a file."""
    return {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}


def _manifest(routes: Words, labels: Words, max_tokens: int) -> dict[str, object]:
    return {
        "format": 1,
        "name": "tiny",
        "version": "1.0.0",
        "kind": "encoder",
        "routes": list(routes),
        "out_of_scope": list(routes)[-1] if routes else None,
        "labels": list(labels),
        "max_tokens": max_tokens,
        "licence": "Apache-2.0",
    }


def _route_votes(vocabulary: Vocabulary, routes: Words) -> Floats:
    """``[V, R]``. Every text holds one ``[CLS]``, whose weak vote goes to the last route."""
    votes = np.zeros((len(vocabulary.words), len(routes)), np.float32)
    for column, words in enumerate(routes.values()):
        votes[[vocabulary.id(word) for word in words], column] = VOTE
    if routes:
        votes[vocabulary.id("[CLS]"), -1] = VOTE / 2
    return votes


def _tag_scores(vocabulary: Vocabulary, labels: Words) -> Floats:
    """``[V, 1 + 2L]``: outside, then begin and inside of each label."""
    scores = np.zeros((len(vocabulary.words), 1 + 2 * len(labels)), np.float32)
    scores[:, 0] = VOTE / 2
    for i, words in enumerate(labels.values()):
        for word in words:
            scores[vocabulary.id(word), 1 + 2 * i + word.startswith("+")] = VOTE
    return scores


def _model(votes: Floats, scores: Floats) -> onnx.ModelProto:
    ids, mask = (
        helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"])
        for name in ("input_ids", "attention_mask")
    )
    nodes, outputs, tables = [], [], []
    if votes.shape[1]:
        tables.append(numpy_helper.from_array(votes, "votes"))
        tables.append(numpy_helper.from_array(np.array([2], np.int64), "last_axis"))
        tables.append(numpy_helper.from_array(np.array([1], np.int64), "token_axis"))
        nodes += [
            helper.make_node("Gather", ["votes", "input_ids"], ["word_votes"]),
            helper.make_node("Cast", ["attention_mask"], ["weights"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["weights", "last_axis"], ["columns"]),
            helper.make_node("Mul", ["word_votes", "columns"], ["counted"]),
            helper.make_node("ReduceSum", ["counted", "token_axis"], ["route_logits"], keepdims=0),
        ]
        outputs.append(_output("route_logits", ["B", votes.shape[1]]))
    if scores.shape[1] > 1:
        tables.append(numpy_helper.from_array(scores, "scores"))
        nodes.append(helper.make_node("Gather", ["scores", "input_ids"], ["tag_logits"]))
        outputs.append(_output("tag_logits", ["B", "T", scores.shape[1]]))
    graph = helper.make_graph(nodes, "tiny", [ids, mask], outputs, tables)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _output(name: str, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    table = {word: i for i, word in enumerate(vocabulary.words)}
    tokenizer = Tokenizer(models.WordLevel(table, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(name, vocabulary.id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=ends
    )
    return tokenizer

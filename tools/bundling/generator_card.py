"""The model card of a trained generator."""

from __future__ import annotations

from tools.bundling.generator import Contents
from tools.evaluation.fields import WritingScores
from tools.trunks.gemma3_generator import Gemma3Generator

CARD = """\
# {name} {version}

Writes about a message, as INT4 graphs for onnxruntime. It runs on a CPU and sends nothing anywhere.

- Architecture: Gemma 3, {layers} layers, hidden size {hidden}, {vocabulary} tokens in the
  vocabulary; {context} tokens of context, prompt and output together.
- Base: {base} ({licence}).
- Learnt from {train} pairs a pass, {epochs} passes at most, of {source}.

## Over the {messages} messages held out

Written by the packed bundle. A field is right when the very same value stands there; null is no
value.

| field | precision | recall | F1 | wanted |
|---|---|---|---|---|
{rows}

Whole outputs under the schema: {valid:.1%}. All fields right: {exact:.1%}. Extracted strings that
do not stand in the message: {invented}.

What it writes can be wrong. It is no safety function: do not let an alarm depend on it alone.
"""


def generator_card(contents: Contents, model: Gemma3Generator, scores: WritingScores) -> str:
    """As Markdown."""
    origin, shape, corpus = contents.base.provenance(), model.shape, contents.provenance["corpus"]
    rows = [
        f"| {name} | {s.precision:.3f} | {s.recall:.3f} | {s.f1:.3f} | {s.wanted} |"
        for name, s in {**scores.fields, "all": scores.all}.items()
    ]
    return CARD.format(
        name=contents.name, version=contents.version, layers=shape.layers, hidden=shape.hidden,
        vocabulary=shape.vocabulary, context=shape.max_tokens, base=origin["name"],
        licence=origin["licence"], train=corpus["train"], source=corpus["source"],
        epochs=contents.provenance["epochs"], messages=scores.messages, rows="\n".join(rows),
        valid=scores.complete / max(1, scores.messages),
        exact=scores.exact / max(1, scores.messages), invented=scores.invented,
    )  # fmt: skip

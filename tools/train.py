"""Corpus to bundle, from start to end: the one function behind ``python -m tools train``."""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from edge_agent.bundle import MANIFEST, TOKENIZER, Bundle
from edge_agent.inference.encode import TextEncoder
from edge_agent.inference.heads import TagDecoder, decode_route
from edge_agent.inference.session import Session
from edge_agent.specialists import load_specialist
from edge_agent.types import Prediction
from tools import pack
from tools.base import Base, fetch_base
from tools.batches import Batcher, load_tokenizer
from tools.calibrate import calibrate, collect
from tools.card import model_card
from tools.corpus.annotation import Example, read_messages
from tools.corpus.generate import variants
from tools.crf import FORBIDDEN, forbidden
from tools.data import Vocabulary, check_names, read_jsonl, split, vocabulary_of
from tools.errors import ToolError
from tools.export import build
from tools.metrics import score
from tools.model import Encoder, Shape, load_encoder
from tools.quantise import BITS, BLOCK
from tools.training import Recipe, Trainer, logits

MESSAGES = Path(__file__).parent / "corpus" / "messages"
DEFAULT_OUT = Path("models/gateway-default")
MAX_TOKENS = 256
REPORT_EPOCHS = 4


@dataclass(frozen=True)
class Job:
    """What to train: ``data`` None stands for the hand-written corpus and its noise."""

    out: Path = DEFAULT_OUT
    data: Path | None = None
    name: str = "gateway-default"
    version: str = "1.0.0"
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True)
class Corpus:
    """Messages to train on, one list an epoch, and messages held out."""

    train: list[Example]
    dev: list[Example]
    epochs: list[list[Example]]
    vocabulary: Vocabulary
    source: str

    @property
    def digest(self) -> str:
        lines = sorted(repr(example) for example in [*self.train, *self.dev])
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def run(job: Job) -> Bundle:
    """Trains, exports, calibrates, packs. The old bundle stays until the end. Raises ToolError."""
    refuse_foreign_folder(job.out)
    started = time.monotonic()
    torch.manual_seed(job.recipe.seed)
    base = fetch_base()
    corpus = read_corpus(job)
    print(f"{len(corpus.train)} messages to train on, {len(corpus.dev)} held out", flush=True)
    encoder = train(base, corpus, job.recipe)
    contents = assemble(encoder, base, corpus, job)
    contents.provenance["training_minutes"] = round((time.monotonic() - started) / 60, 1)
    return publish(contents, corpus, job.out)


def read_corpus(job: Job) -> Corpus:
    """The default corpus multiplied by noise, or a folder of one's own as it is."""
    if job.data is not None:
        train_set, dev = (read_jsonl(job.data / f"{part}.jsonl") for part in ("train", "dev"))
        vocabulary = vocabulary_of(train_set)
        check_names(vocabulary)
        _refuse_strangers(dev, vocabulary)
        epochs = [train_set] * job.recipe.epochs_over(len(train_set))
        return Corpus(train_set, dev, epochs, vocabulary, job.data.name)
    examples = read_messages(MESSAGES)
    train_set, dev = split(examples)
    noised = variants(train_set, job.recipe.epochs_over(len(train_set)), job.recipe.seed)
    return Corpus(train_set, dev, noised, vocabulary_of(examples), "tools/corpus")


def _refuse_strangers(dev: list[Example], vocabulary: Vocabulary) -> None:
    known = {*vocabulary.routes, *vocabulary.labels, ""}
    seen = {e.route for e in dev} | {span.label for e in dev for span in e.entities}
    if strangers := seen - known:
        raise ToolError(
            f"dev.jsonl names {', '.join(sorted(strangers))}, which train.jsonl does not",
            "give train.jsonl messages of it, or take it out of dev.jsonl",
        )


def train(base: Base, corpus: Corpus, recipe: Recipe) -> Encoder:
    """The averaged encoder after all epochs."""
    vocabulary = corpus.vocabulary
    shape = Shape(len(vocabulary.routes), len(vocabulary.labels), max_tokens=MAX_TOKENS)
    batcher = Batcher(load_tokenizer(base.tokenizer, MAX_TOKENS), vocabulary)

    def report(epoch: int, encoder: Encoder) -> str:
        if epoch % REPORT_EPOCHS and epoch != len(corpus.epochs):
            return "…"
        encoder.set_quantise(recipe.quantise)
        return dev_line(encoder, batcher, corpus)

    return Trainer(load_encoder(base, shape), batcher, recipe).fit(corpus.epochs, report)


def dev_line(encoder: Encoder, batcher: Batcher, corpus: Corpus) -> str:
    """Scores of the model in training over dev, in one line."""
    scores = score(corpus.dev, predict(encoder, batcher, corpus.dev))
    parts = {"route": scores.route_accuracy, "F1": scores.entity_f1, "exact": scores.exact}
    return ", ".join(f"{name} {value:.3f}" for name, value in parts.items() if value is not None)


def predict(encoder: Encoder, batcher: Batcher, examples: list[Example]) -> list[Prediction]:
    """Predictions of the torch model, decoded by the runtime."""
    manifest = pack.manifest(_draft(batcher.vocabulary, encoder), {})
    decoder = TagDecoder(manifest)
    predictions = []
    for example, (routes, tags) in zip(examples, logits(encoder, batcher, examples), strict=True):
        route = None if routes is None else decode_route(routes.numpy(), manifest)
        offsets = batcher.tokenizer.encode(example.text).offsets
        found = () if tags is None else decoder.entities(tags.numpy(), offsets, example.text)
        predictions.append(Prediction(route, found))
    return predictions


def assemble(encoder: Encoder, base: Base, corpus: Corpus, job: Job) -> pack.Contents:
    """Exports the model and calibrates it on what the runtime will compute."""
    model = build(encoder).SerializeToString()
    contents = _draft(corpus.vocabulary, encoder)
    contents.name, contents.version = job.name, job.version
    contents.model, contents.tokenizer = model, base.tokenizer
    tokenizer = pack.plain_tokenizer(base.tokenizer).encode()
    text_encoder = TextEncoder(tokenizer, MAX_TOKENS)
    session = Session(model, threads=1)
    measured = collect(session, text_encoder, corpus.dev, corpus.vocabulary)
    contents.calibration = calibrate(measured, corpus.vocabulary)
    contents.quantisation = quantisation(job.recipe)
    contents.provenance = {
        "base": base.provenance(),
        "corpus": {
            "source": corpus.source,
            "sha256": corpus.digest,
            "train": len(corpus.train),
            "dev": len(corpus.dev),
        },
        "seed": job.recipe.seed,
        "epochs": len(corpus.epochs),
    }
    return contents


def quantisation(recipe: Recipe) -> dict[str, object]:
    if not recipe.quantise:
        return {"bits": 32}
    where = ["word embedding", "attention projections", "feed-forward"]
    return {"bits": BITS, "block": BLOCK, "symmetric": True, "accuracy_level": 4, "of": where}


def publish(contents: pack.Contents, corpus: Corpus, out: Path) -> Bundle:
    """Packs beside ``out``, measures, adds golden lines and card, and only then takes its place."""
    fresh = out.with_name(f"{out.name}.new")
    specialist = load_specialist(pack.pack(contents, fresh), threads=1)
    predictions = specialist.predict([example.text for example in corpus.dev])
    scores = score(corpus.dev, predictions)
    contents.provenance["dev"] = {
        key: value
        for key, value in scores.as_dict().items()
        if key not in ("routes", "labels", "confusions") and value is not None
    }
    (fresh / pack.CARD).write_text(model_card(contents, scores), encoding="utf-8")
    pack.add_golden(contents, fresh, corpus.dev, predictions)
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
    return pack.load_bundle(out)


def refuse_foreign_folder(out: Path) -> None:
    """Training replaces ``out`` whole, so only a bundle or nothing may stand there."""
    if out.exists() and not (out / MANIFEST).is_file():
        raise ToolError(
            f"{out} exists and is no bundle; training would replace it",
            f"choose another folder: python -m tools train --out {out}-bundle",
        )


def _draft(vocabulary: Vocabulary, encoder: Encoder) -> pack.Contents:
    rows = None
    if vocabulary.labels:
        learnt = (encoder.transitions + forbidden(vocabulary.tags)).clamp(min=FORBIDDEN)
        rows = [[round(score, 4) for score in row] for row in learnt.tolist()]
    return pack.Contents(
        "draft", "0", b"", Path(TOKENIZER), vocabulary, MAX_TOKENS, transitions=rows
    )

"""Messages to bundle, from start to end: the one function behind ``python -m tools train``."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import torch

from edge_agent.bundle import Bundle
from edge_agent.inference.encode import TextEncoder
from edge_agent.inference.heads import TagDecoder, decode_route
from edge_agent.inference.session import Session
from edge_agent.manifest import TOKENIZER
from edge_agent.specialists import load_specialist
from edge_agent.types import Prediction
from tools.bases.base import WINDOW_STEP_TOKENS, Base, fetch_base, open_base
from tools.bases.trim import drop_layers, spread, trim_vocabulary, uncover_borders
from tools.bundling import pack
from tools.bundling.calibrate import calibrate, collect
from tools.bundling.card import model_card
from tools.bundling.place import refuse_foreign_folder, replacing
from tools.corpora import Corpus, read_corpus
from tools.data import Vocabulary
from tools.errors import ToolError
from tools.evaluation.metrics import Scores, score
from tools.evaluation.progress import progress_bars
from tools.evaluation.running import predict_all, read_bundle
from tools.export import build
from tools.learning.batches import Batcher, load_tokenizer
from tools.learning.checkpoint import Checkpoint
from tools.learning.crf import FORBIDDEN, forbidden
from tools.learning.distil import BundleTeacher, Teachers
from tools.learning.loss import Loss, class_weights
from tools.learning.marking import MarkingLesson, logits
from tools.learning.recipe import Recipe
from tools.learning.training import Trainer, Verdict
from tools.trunks.loading import Encoder, load_encoder
from tools.trunks.quantise import BITS, BLOCK

WINDOW_TOKENS = 256
LONGEST_WINDOW_TOKENS = 512
"""Where messages need more than the former."""
DRAFT = "draft"


@dataclass(frozen=True)
class Job:
    """What to train. ``data`` None stands for the hand-written corpus, ``base`` None for MiniLM.

    ``layers`` keeps that many of the base, ``trim`` that many of its commonest pieces besides
    those that the data needs; None keeps all.
    """

    out: Path
    data: Path | None = None
    name: str = "gateway-default"
    version: str = "1.0.0"
    base: Path | None = None
    layers: int | None = None
    trim: int | None = None
    teachers: tuple[Path, ...] = ()
    recipe: Recipe = field(default_factory=Recipe)


def run(job: Job) -> Bundle:
    """Trains, exports, calibrates, packs. The old bundle stays until the end. Raises ToolError."""
    refuse_unfit(job)
    started = time.monotonic()
    torch.manual_seed(job.recipe.seed)
    torch.use_deterministic_algorithms(True)
    corpus = read_corpus(job.data, job.recipe)
    print(f"{len(corpus.train)} messages to train on, {len(corpus.dev)} held out", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        base = prepared_base(job, corpus, Path(scratch))
        checkpoint = Checkpoint(
            job.out.with_name(f"{job.out.name}.training"), key(job, corpus, base)
        )
        encoder = train(base, corpus, job, checkpoint)
        contents = assemble(encoder, base, corpus, job)
        bundle = publish(contents, corpus, job.out)
    checkpoint.clear()
    print(f"took {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    return bundle


def prepared_base(job: Job, corpus: Corpus, scratch: Path) -> Base:
    """The base model, cut down as the job asks."""
    base = open_base(job.base) if job.base else fetch_base()
    if job.layers is not None:
        keep = spread(base.layers, job.layers)
        base = drop_layers(base, keep, scratch / "layers")
    uncovered = uncover_borders(base, corpus.train, corpus.dev, scratch / "borders")
    if uncovered is not base:
        base = uncovered
        print(f"{base.provenance()['changes'][-1]}", flush=True)
    if job.trim is not None:
        base = trim_vocabulary(base, corpus.texts, scratch / "vocabulary", job.trim)
    return base


def key(job: Job, corpus: Corpus, base: Base) -> str:
    """What a checkpoint must agree in to be gone on from."""
    taught_by = [pack.load_bundle(path).digest for path in job.teachers]
    shown = [corpus.train, corpus.dev, corpus.epochs]
    parts = (shown, job.recipe, base.provenance(), job.layers, job.trim, taught_by)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def train(base: Base, corpus: Corpus, job: Job, checkpoint: Checkpoint) -> Encoder:
    """The averaged encoder that dev found best."""
    vocabulary, recipe = corpus.vocabulary, job.recipe
    tokens = window(base, [example.text for example in corpus.train])
    batcher = Batcher(load_tokenizer(base.tokenizer, tokens), vocabulary, base.hole)
    encoder = load_encoder(base, len(vocabulary.routes), len(vocabulary.labels), tokens)
    encoder.words.narrow(batcher.used(corpus.texts))
    weights = class_weights(
        batcher.rows(corpus.train), len(vocabulary.routes), recipe.class_weight_power
    )
    teachers = [BundleTeacher(path, vocabulary, batcher.tokenizer) for path in job.teachers]
    loss = Loss(recipe, vocabulary.tags, weights)
    lesson = MarkingLesson(batcher, loss, Teachers(teachers) if teachers else None)
    return Trainer(encoder, lesson).fit(
        corpus.epochs, lambda model: judged(model, batcher, corpus), checkpoint
    )


def window(base: Base, texts: Sequence[str]) -> int:
    """The tokens a message may have, special ones included: more where ``texts`` need them."""
    tokenizer = load_tokenizer(base.tokenizer, LONGEST_WINDOW_TOKENS)
    longest = max((len(e.ids) for e in tokenizer.encode_batch(list(texts))), default=0)
    needed = -(-longest // WINDOW_STEP_TOKENS) * WINDOW_STEP_TOKENS
    return min(max(needed, WINDOW_TOKENS), base.max_tokens)


def judged(encoder: Encoder, batcher: Batcher, corpus: Corpus) -> Verdict:
    """How the model in training does on dev: the mean of its scores, and a line."""
    scores = score(corpus.dev, predict(encoder, batcher, corpus))
    parts = {"route": scores.route_accuracy, "F1": scores.entity_f1, "exact": scores.exact}
    known = {name: value for name, value in parts.items() if value is not None}
    line = ", ".join(f"{name} {value:.3f}" for name, value in known.items())
    return Verdict(mean(known.values()), line, len(corpus.dev))


def predict(encoder: Encoder, batcher: Batcher, corpus: Corpus) -> list[Prediction]:
    """Predictions of the torch model for dev, decoded by the runtime."""
    manifest = pack.manifest(_draft(corpus.vocabulary, encoder), {})
    decoder = TagDecoder(manifest)
    predictions = []
    found = logits(encoder, batcher, corpus.dev)
    for example, (routes, tags) in zip(corpus.dev, found, strict=True):
        route = None if routes is None else decode_route(routes.numpy(), manifest)
        entities = ()
        if tags is not None:
            offsets = [o for o in batcher.tokenizer.encode(example.text).offsets if o[1] > o[0]]
            entities = decoder.entities(tags.numpy(), offsets, example.text)
        predictions.append(Prediction(route, entities))
    return predictions


def assemble(encoder: Encoder, base: Base, corpus: Corpus, job: Job) -> pack.Contents:
    """Exports the model and calibrates it on what the runtime will compute."""
    model = build(encoder).SerializeToString()
    contents = _draft(corpus.vocabulary, encoder)
    contents.name, contents.version = job.name, job.version
    contents.model, contents.tokenizer = model, base.tokenizer
    tokenizer = pack.plain_tokenizer(base.tokenizer).encode()
    text_encoder = TextEncoder(tokenizer, contents.max_tokens)
    session = Session(model, threads=1)
    with progress_bars() as bars:
        dev = bars.track(corpus.dev, description="calibrating")
        measured = collect(session, text_encoder, dev, corpus.vocabulary)
    contents.calibration = calibrate(measured, corpus.vocabulary, job.recipe.abstain_cost)
    contents.licence = base.provenance()["licence"]
    contents.quantisation = quantisation(job.recipe)
    contents.provenance = provenance(base, corpus, job)
    return contents


def provenance(base: Base, corpus: Corpus, job: Job) -> dict[str, object]:
    """What the bundle was made from, enough to make it again."""
    made: dict[str, object] = {
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
    changes = {"layers": job.layers, "trimmed_to_data_and": job.trim}
    made |= {name: value for name, value in changes.items() if value is not None}
    if job.teachers:
        made["teachers"] = [pack.load_bundle(path).digest for path in job.teachers]
    return made


def quantisation(recipe: Recipe) -> dict[str, object]:
    """How the weights are packed, as the manifest says it."""
    if not recipe.quantise:
        return {"bits": 32}
    where = ["word embedding", "attention projections", "feed-forward"]
    return {"bits": BITS, "block": BLOCK, "symmetric": True, "accuracy_level": 4, "of": where}


def publish(contents: pack.Contents, corpus: Corpus, out: Path) -> Bundle:
    """Packs beside ``out``, measures, adds golden lines and card, and only then takes its place."""
    with replacing(out) as fresh:
        specialist = load_specialist(pack.pack(contents, fresh), threads=1)
        with progress_bars() as bars:
            predictions, _ = predict_all(specialist, [e.text for e in corpus.dev], bars)
        scores = score(corpus.dev, predictions)
        contents.provenance["dev"] = summary(scores) | {"routes": mix(predictions)}
        (fresh / pack.CARD).write_text(model_card(contents, scores), encoding="utf-8")
        pack.add_golden(contents, fresh, corpus.dev, predictions)
    return pack.load_bundle(out)


def summary(scores: Scores) -> dict[str, object]:
    """The single numbers among the scores."""
    plain = scores.as_dict().items()
    return {key: value for key, value in plain if isinstance(value, (int, float))}


def mix(predictions: Sequence[Prediction]) -> dict[str, int]:
    """How often each route was given: what a site's mix is compared with (``drift_psi``)."""
    counts = Counter(prediction.route.label for prediction in predictions if prediction.route)
    return dict(sorted(counts.items()))


def refuse_unfit(job: Job) -> None:
    """Refuses, before hours of work, what could not be written at their end. Raises ToolError."""
    refuse_foreign_folder(job.out)
    if job.data and job.out.resolve() in [job.data.resolve(), *job.data.resolve().parents]:
        raise ToolError(
            f"{job.data} lies in {job.out}, which training replaces",
            "keep messages and bundles in different folders",
        )
    refuse_writers(job.teachers)
    pack.refuse_misnamed(job.name, job.version)
    job.out.parent.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=job.out.parent).close()


def refuse_writers(teachers: Sequence[Path]) -> None:
    """Raises ToolError where a teacher is none, and BundleError where it cannot be read."""
    for path in teachers:
        if read_bundle(path).manifest.kind == "generator":
            raise ToolError(
                f"teacher {path} writes, and knows neither routes nor labels",
                "name a bundle that sorts and marks, or leave --teacher out",
            )


def _draft(vocabulary: Vocabulary, encoder: Encoder) -> pack.Contents:
    rows = None
    if vocabulary.labels:
        learnt = (encoder.transitions + forbidden(vocabulary.tags)).clamp(min=FORBIDDEN)
        rows = [[round(score, 4) for score in row] for row in learnt.tolist()]
    return pack.Contents(
        DRAFT, "0", b"", Path(TOKENIZER), vocabulary, encoder.shape.max_tokens, transitions=rows
    )

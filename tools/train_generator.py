"""Pairs to a bundle that writes: the one function behind ``python -m tools train --task``."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from edge_agent.bundle import Bundle, load_bundle
from edge_agent.errors import InferenceFailed
from edge_agent.generator import GeneratorSpecialist
from edge_agent.inference.byte_pairs import BytePairs
from edge_agent.inference.grammar import Constraint, Grammar
from edge_agent.inference.prompt import PromptEncoder
from edge_agent.manifest import GOLDEN
from edge_agent.types import Output
from tools.bases.base import Base, fetch_base, open_base, read_tokenizer
from tools.bases.fresh import Sizes, fresh_base
from tools.bases.stops import END_OF_TURN, stop_names
from tools.bases.trim import trim_vocabulary
from tools.bundling.generator import Contents, write_manifest, write_model
from tools.bundling.generator_card import generator_card
from tools.bundling.pack import CARD, plain_tokenizer, refuse_misnamed
from tools.bundling.place import refuse_foreign_folder, replacing
from tools.errors import ToolError
from tools.evaluation.fields import score_writing
from tools.learning.answering import AnsweringLesson, Tokens
from tools.learning.checkpoint import Checkpoint
from tools.learning.recipe import Recipe
from tools.learning.training import Trainer, Verdict
from tools.trunks.gemma3_generator import Gemma3Generator, load_generator, refuse_other_families
from tools.writing.corpus import WritingCorpus, read_writing
from tools.writing.marks import Marks
from tools.writing.pairs import Pair

MAX_CONTEXT_TOKENS = 1024
JUDGED_PAIRS = 200
GOLDEN_PAIRS = 16


@dataclass(frozen=True)
class Job:
    """What to train. ``data`` None stands for our work orders, ``base`` None for random weights.

    Random weights begin with the word vectors of the default base if ``knows_words``.
    ``trim`` keeps that many of the base's commonest pieces besides those that the pairs need.
    """

    out: Path
    task: Path
    data: Path | None = None
    name: str = "work-order"
    version: str = "1.0.0"
    base: Path | None = None
    trim: int | None = None
    sizes: Sizes = field(default_factory=Sizes)
    recipe: Recipe = field(default_factory=Recipe)
    knows_words: bool = False


def run(job: Job) -> Bundle:
    """Trains, exports, packs. The old bundle stays until the end. Raises ToolError."""
    refuse_foreign_folder(job.out)
    refuse_misnamed(job.name, job.version)
    job.out.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    torch.manual_seed(job.recipe.seed)
    corpus = read_writing(job.data, job.task, job.recipe)
    print(f"{len(corpus.epochs[0])} pairs a pass, {len(corpus.dev)} held out", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        base, stops = prepared_base(job, corpus, Path(scratch))
        contents = contents_of(job, base, stops, corpus)
        place = job.out.with_name(f"{job.out.name}.training")
        checkpoint = Checkpoint(place, key(job, corpus, base))
        model = train(contents, corpus, job.recipe, checkpoint)
        bundle = publish(contents, model, corpus, job.out)
    checkpoint.clear()
    print(f"took {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    return bundle


def prepared_base(job: Job, corpus: WritingCorpus, scratch: Path) -> tuple[Base, tuple[str, ...]]:
    """The folder that is named, or one of random weights with a tokenizer of the pairs' own.

    And the names of the tokens that end a text: trimming gives them other ids.
    """
    if job.base is None:
        words_of = fetch_base() if job.knows_words else None
        base = fresh_base(scratch / "fresh", corpus.texts(), corpus.schema, job.sizes, words_of)
        return base, stop_names(base.path, read_tokenizer(base.tokenizer))
    base = open_base(job.base)
    refuse_other_families(base)
    stops = stop_names(base.path, read_tokenizer(base.tokenizer))
    if job.trim is not None:
        texts = [*corpus.texts(), corpus.task.prompt, *stops]
        base = trim_vocabulary(base, texts, scratch / "vocabulary", job.trim)
    return base, stops


def contents_of(job: Job, base: Base, stops: Sequence[str], corpus: WritingCorpus) -> Contents:
    """What the bundle's manifest will say."""
    contents = Contents(job.name, job.version, base, stops, corpus.task)
    if not job.recipe.quantise:
        contents.quantisation["learnt"] = "in floats, rounded at the end"
    contents.provenance = {
        "corpus": {"source": corpus.source, "sha256": corpus.digest,
                   "train": len(corpus.epochs[0]), "dev": len(corpus.dev)},
        "seed": job.recipe.seed,
        "epochs": len(corpus.epochs),
    }  # fmt: skip
    return contents


def key(job: Job, corpus: WritingCorpus, base: Base) -> str:
    """What a checkpoint must agree in to be gone on from."""
    parts = (corpus.digest, len(corpus.epochs), corpus.task, job.recipe, base.provenance())
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def train(
    contents: Contents, corpus: WritingCorpus, recipe: Recipe, checkpoint: Checkpoint
) -> Gemma3Generator:
    """The averaged model that wrote best about dev."""
    device = chosen_device()
    model = load_generator(contents.base, min(MAX_CONTEXT_TOKENS, contents.base.max_tokens))
    marks = Marks.under(corpus.schema) if recipe.mark_weight else None
    tokens = tokens_of(contents, corpus, model.shape.max_tokens, marks)
    refuse_unwritable(contents, corpus, tokens, model.shape.vocabulary)
    if marks:
        model.mark = torch.nn.Linear(model.shape.hidden, 1 + len(marks.places))
    lesson = AnsweringLesson(recipe, tokens, device)
    trainer = Trainer(model.requires_grad_().to(device), lesson)
    some = corpus.dev[:: -(-len(corpus.dev) // JUDGED_PAIRS)]
    model = trainer.fit(corpus.epochs, lambda one: judged(contents, one, some), checkpoint)
    return model.requires_grad_(requires_grad=False).cpu()


def chosen_device() -> torch.device:
    """CUDA where there is some; the same numbers each time on either."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def tokens_of(
    contents: Contents, corpus: WritingCorpus, context: int, marks: Marks | None = None
) -> Tokens:
    """Prompts and answers to tokens, as the packed bundle will have them."""
    tokenizer = BytePairs(plain_tokenizer(contents.base.tokenizer).encode())
    room = context - corpus.task.max_output_tokens
    prompts = PromptEncoder(tokenizer, corpus.task.prompt, room)
    whole = read_tokenizer(contents.base.tokenizer)
    names = sorted(contents.stops, key=lambda name: name != END_OF_TURN)
    return Tokens(tokenizer, prompts, whole.token_to_id(names[0]), marks)


def refuse_unwritable(
    contents: Contents, corpus: WritingCorpus, tokens: Tokens, vocabulary: int
) -> None:
    """Raises ToolError for the first pair whose answer the runtime could not write."""
    schema, stops = corpus.task.output_schema, contents.stop_ids()
    grammar = Grammar(tokens.tokenizer, schema, vocabulary, stops)
    for pair in [*corpus.epochs[0], *corpus.dev]:
        answer, most = tokens.answer(pair.answer), corpus.task.max_output_tokens
        if len(answer) > most:
            raise ToolError(
                f"the output {pair.answer} for {pair.text!r} has {len(answer)} tokens",
                f"raise max_output_tokens of the task, which is {most}, or ask for less",
            )
        read = tokens.prompts.encode(pair.text).text
        try:
            _write(grammar.start(read), answer, stops[0])
        except InferenceFailed as error:
            raise ToolError(
                f"the output {pair.answer} for {pair.text!r} cannot be written: {error.problem}",
                "change it, or the schema; an extractive string is a run of whole words of the "
                "text, and a text no longer than the prompt has room for",
            ) from error


def _write(constraint: Constraint, answer: Sequence[int], stop: int) -> None:
    """From its first token to its end. Raises InferenceFailed."""
    for token in answer:
        constraint.accept(token)
    if not constraint.finished:
        constraint.accept(stop)


def judged(contents: Contents, model: Gemma3Generator, pairs: Sequence[Pair]) -> Verdict:
    """How the model writes about dev once it is packed: the F1 of its fields, and a line."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        write_model(contents, copy.deepcopy(model).cpu(), folder)
        scores = score_writing(pairs, written(load_bundle(folder), pairs))
    exact = scores.exact / len(pairs)
    return Verdict(scores.all.f1, f"field F1 {scores.all.f1:.3f}, exact {exact:.3f}", len(pairs))


def written(bundle: Bundle, pairs: Sequence[Pair]) -> list[Output]:
    """What the runtime writes about each text, however long it takes."""
    specialist = GeneratorSpecialist(bundle, 1, clock=lambda: 0.0)
    return [specialist.write(pair.text) for pair in pairs]


def publish(contents: Contents, model: Gemma3Generator, corpus: WritingCorpus, out: Path) -> Bundle:
    """Packs beside ``out``, measures, adds golden lines and card, and only then takes its place."""
    with replacing(out) as fresh:
        write_model(contents, model, fresh)
        outputs = written(load_bundle(fresh), corpus.dev)
        scores = score_writing(corpus.dev, outputs)
        contents.provenance["dev"] = scores.as_dict()
        (fresh / GOLDEN).write_text(golden_lines(corpus.dev, outputs), encoding="utf-8")
        (fresh / CARD).write_text(generator_card(contents, model, scores), encoding="utf-8")
        write_manifest(contents, model, fresh)
    return load_bundle(out)


def golden_lines(pairs: Sequence[Pair], outputs: Sequence[Output]) -> str:
    """A few messages of all lengths with what was written, where it was whole."""
    whole = [(p, o) for p, o in zip(pairs, outputs, strict=True) if o.complete]
    whole.sort(key=lambda item: len(item[0].text))
    chosen = whole[:: max(1, len(whole) // GOLDEN_PAIRS)][:GOLDEN_PAIRS]
    lines = [
        {"text": pair.text, "output": output.text if output.value is None else output.value}
        for pair, output in chosen
    ]
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)

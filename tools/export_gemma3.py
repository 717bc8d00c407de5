"""From a Gemma 3 folder to a generator bundle: the one function behind ``export-gemma3``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.bundle import Bundle, load_bundle
from tools.bases.base import Base, open_base, read_tokenizer
from tools.bases.pieces import SAFETY_PIECES
from tools.bases.stops import stop_names
from tools.bases.trim import trim_vocabulary
from tools.bundling.generator import Contents, write_manifest, write_model
from tools.bundling.pack import CARD, refuse_misnamed
from tools.bundling.place import refuse_foreign_folder, replacing
from tools.errors import ToolError
from tools.trunks.gemma3_generator import Gemma3Generator, load_generator, refuse_other_families
from tools.trunks.quantise import BLOCK, blocks_on_grid

TURNS = "<start_of_turn>user\n<end_of_turn>\n<start_of_turn>model\n"
"""What prompts of this family are made of, so that trimming keeps the pieces."""

CONTENT = """\
# {name} {version}

A Gemma 3 that writes text, as INT4 graphs for onnxruntime. It runs on a CPU and sends nothing
anywhere.

- Base: {base[name]} ({base[licence]}), sha256 `{base[sha256]}`.{changes}
- Weights: 4 bits in blocks of {block}, scales in float16; {share:.1%} of the blocks were such
  blocks in the base already.
- Context: {context} tokens, prompt and output together; {vocabulary} tokens in the vocabulary.

What it writes can be wrong. It is no safety function: do not let an alarm depend on it alone.
"""


@dataclass(frozen=True)
class Job:
    """What to export. With ``texts`` the vocabulary is cut to what they and common words need.

    None keeps all of it.
    """

    folder: Path
    out: Path
    name: str
    version: str = "1.0.0"
    context: int = 1024
    texts: tuple[str, ...] | None = None
    common_pieces: int = SAFETY_PIECES


def run(job: Job) -> Bundle:
    """Reads, quantises, writes, and loads back as the agent does. Raises ToolError."""
    refuse_foreign_folder(job.out)
    refuse_misnamed(job.name, job.version)
    whole = open_base(job.folder)
    refuse_other_families(whole)
    stops = stop_names(job.folder, read_tokenizer(whole.tokenizer))
    with tempfile.TemporaryDirectory() as scratch:
        base = whole
        if job.texts is not None:
            texts = [*job.texts, TURNS, *stops] if job.texts else []
            base = trim_vocabulary(whole, texts, Path(scratch) / "base", job.common_pieces)
        model = load_generator(base, job.context)
        model.set_quantise()
        _refuse_no_numbers(base, model)
        return _publish(job, base, model, stops)


def _refuse_no_numbers(base: Base, model: Gemma3Generator) -> None:
    if not all(bool(module.scales.isfinite().all()) for module in model.quantised()):
        raise ToolError(
            f"{base.path}: the weights hold values that are infinite, or no numbers",
            "copy the weights again from where they came",
        )


def _publish(job: Job, base: Base, model: Gemma3Generator, stops: Sequence[str]) -> Bundle:
    """Writes beside ``out``, and only then takes its place."""
    contents = Contents(job.name, job.version, base, stops)
    contents.quantisation["share_on_grid"] = on_grid(model)
    with replacing(job.out) as fresh:
        write_model(contents, model, fresh)
        (fresh / CARD).write_text(_card(contents, model), encoding="utf-8")
        write_manifest(contents, model, fresh)
        load_bundle(fresh)
    return load_bundle(job.out)


def on_grid(model: Gemma3Generator) -> float:
    """Share of the INT4 blocks that were such blocks in the checkpoint already."""
    modules = model.quantised()
    kept = sum(blocks_on_grid(module.weight, module.scales) for module in modules)
    return kept / sum(module.scales.numel() for module in modules)


def _card(contents: Contents, model: Gemma3Generator) -> str:
    origin = contents.base.provenance()
    changes = "".join(f" {change.capitalize()}." for change in origin.get("changes", []))
    return CONTENT.format(
        name=contents.name, version=contents.version, base=origin, changes=changes, block=BLOCK,
        share=contents.quantisation["share_on_grid"], context=model.shape.max_tokens,
        vocabulary=model.shape.vocabulary,
    )  # fmt: skip

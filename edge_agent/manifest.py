"""``bundle.json``: what a bundle says of itself. Reads no files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FORMAT = 1
MANIFEST = "bundle.json"
SIGNATURE = "bundle.json.sig"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
GOLDEN = "golden.jsonl"
HEAD = "head.onnx"
ROWS = "rows.onnx"
WEIGHTS = "weights.bin"
NEEDED = {
    "encoder": {MODEL, TOKENIZER},
    "generator": {MODEL, TOKENIZER, HEAD, ROWS, WEIGHTS},
}
"""Files that a bundle of a kind must list."""
MAX_MANIFEST_BYTES = 4 << 20
MAX_FILE_BYTES = 4 << 30

NOT_IN_TOPICS = r"\s/+#\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff"
"""What no name may hold, as a class of a pattern. Of control and noncharacters in a topic a broker
may end the connection (MQTT 5, 1.5.4), and Mosquitto does, each time the event is sent again."""

Label = Annotated[str, Field(min_length=1, max_length=64, pattern=f"^[^{NOT_IN_TOPICS}]+$")]


class Strict(BaseModel):
    """Unknown keys are errors, numbers are finite, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Calibration(Strict):
    """What turns logits into probabilities, and when the answer is no answer.

    Logits divided by a temperature near 0 overflow, and their probabilities are no numbers.
    """

    temperature: float = Field(1.0, ge=0.01)
    abstain_below: float = Field(0.0, ge=0, le=1)
    tag_temperature: float = Field(1.0, ge=0.01)


class FileEntry(Strict):
    """Digest and size of one file of the bundle."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0, le=MAX_FILE_BYTES)


class GeneratorShape(Strict):
    """Sizes of a generator's graphs, and the tokens that end its text. See docs/gemma3.md."""

    layers: int = Field(ge=1, le=1024)
    key_heads: int = Field(ge=1, le=1024)
    head_size: int = Field(ge=1, le=4096)
    hidden: int = Field(ge=1, le=65536)
    vocabulary: int = Field(ge=1, le=1 << 24)
    stop_tokens: tuple[int, ...] = Field(min_length=1, max_length=64)


class GenerationTask(Strict):
    """What a generator is asked to write about a text, and within which limits.

    ``prompt`` holds ``{text}``, and writes special tokens out. Without ``output_schema`` the
    output is free text. ``temperature`` 0 always takes the most probable token. See
    docs/generate.md.
    """

    prompt: str = Field(min_length=1, max_length=65536)
    output_schema: dict[str, Any] | None = None
    max_output_tokens: int = Field(128, ge=1, le=8192)
    max_time_ms: int = Field(10_000, ge=1, le=600_000)
    temperature: float = Field(0.0, ge=0, le=2)

    @model_validator(mode="after")
    def _one_text(self) -> GenerationTask:
        if "{text}" not in self.prompt:
            raise ValueError("prompt must hold {text}: there the text is put")
        if not self.prompt.replace("{text}", ""):  # of an empty text, nothing would be left to read
            raise ValueError("prompt must hold more than {text}: what is to be written about it")
        return self


class Manifest(Strict):
    """``bundle.json``.

    ``max_tokens`` of an encoder is its window, of a generator prompt and output together.
    The tag head has ``1 + 2 · len(labels)`` columns: outside, then begin and inside of each label
    in order. ``transitions`` are scores added between neighbouring tags, same order, square.
    """

    format: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    version: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$")
    kind: Literal["encoder", "generator"]
    routes: tuple[Label, ...] = ()
    out_of_scope: Label | None = None
    labels: tuple[Label, ...] = ()
    transitions: tuple[tuple[float, ...], ...] | None = None
    calibration: Calibration = Calibration()
    max_tokens: int = Field(ge=8, le=32768)
    generator: GeneratorShape | None = None
    task: GenerationTask | None = None
    quantisation: dict[str, Any] = Field(default_factory=dict)
    minimum_runtime: str = Field("0.1.0", pattern=r"^\d+\.\d+\.\d+$", max_length=64)
    licence: str = Field(min_length=1)
    provenance: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, FileEntry]

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        fault = _generator_fault(self) if self.kind == "generator" else _encoder_fault(self)
        if fault := fault or _files_fault(self):
            raise ValueError(fault)
        return self


def _encoder_fault(manifest: Manifest) -> str | None:
    """What an encoder's manifest contradicts itself in."""
    routes, labels = manifest.routes, manifest.labels
    tags, transitions = 1 + 2 * len(labels), manifest.transitions
    if manifest.generator or manifest.task:
        return "only a bundle of kind generator has the keys generator and task"
    if not routes and not labels:
        return "neither routes nor labels: the bundle says nothing"
    if len(set(routes)) < len(routes) or len(set(labels)) < len(labels):
        return "a route or label stands twice"
    if transitions is not None and {len(transitions), *map(len, transitions)} != {tags}:
        return f"transitions must be {tags} x {tags}"
    return None


def _generator_fault(manifest: Manifest) -> str | None:
    """What a generator's manifest contradicts itself in."""
    shape = manifest.generator
    if shape is None:
        return "a bundle of kind generator needs the key generator"
    if manifest.routes or manifest.labels or manifest.transitions:
        return "a generator has neither routes nor labels"
    if not all(0 <= token < shape.vocabulary for token in shape.stop_tokens):
        return f"a stop token is none of the {shape.vocabulary} of the vocabulary"
    return None


def _files_fault(manifest: Manifest) -> str | None:
    """A file that is missing from the list, or cannot be in it."""
    names = set(manifest.files)
    if missing := NEEDED[manifest.kind] - names:
        return f"files lacks {', '.join(sorted(missing))}"
    if own := {MANIFEST, SIGNATURE} & names:
        return f"files lists {', '.join(sorted(own))}, which cannot hold its own digest"
    return None

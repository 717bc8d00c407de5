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
MAX_MANIFEST_BYTES = 4 << 20
MAX_FILE_BYTES = 4 << 30

Label = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\s/+#\x00-\x1f]+$")]


class Strict(BaseModel):
    """Unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Calibration(Strict):
    """What turns logits into probabilities, and when the answer is no answer."""

    temperature: float = Field(1.0, gt=0)
    abstain_below: float = Field(0.0, ge=0, le=1)
    tag_temperature: float = Field(1.0, gt=0)


class FileEntry(Strict):
    """Digest and size of one file of the bundle."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0, le=MAX_FILE_BYTES)


class Manifest(Strict):
    """``bundle.json``.

    The tag head has ``1 + 2 · len(labels)`` columns: outside, then begin and inside of each label
    in order. ``transitions`` are scores added between neighbouring tags, same order, square.
    """

    format: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    version: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$")
    kind: Literal["encoder"]
    routes: tuple[Label, ...] = ()
    out_of_scope: Label | None = None
    labels: tuple[Label, ...] = ()
    transitions: tuple[tuple[float, ...], ...] | None = None
    calibration: Calibration = Calibration()
    max_tokens: int = Field(ge=8, le=32768)
    quantisation: dict[str, Any] = Field(default_factory=dict)
    minimum_runtime: str = Field("0.1.0", pattern=r"^\d+\.\d+\.\d+$")
    licence: str = Field(min_length=1)
    provenance: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, FileEntry]

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if not self.routes and not self.labels:
            raise ValueError("neither routes nor labels: the bundle says nothing")
        if len(set(self.routes)) < len(self.routes) or len(set(self.labels)) < len(self.labels):
            raise ValueError("a route or label stands twice")
        tags = 1 + 2 * len(self.labels)
        if self.transitions is not None and (
            len(self.transitions) != tags or any(len(row) != tags for row in self.transitions)
        ):
            raise ValueError(f"transitions must be {tags} x {tags}")
        missing = {MODEL, TOKENIZER} - set(self.files)
        if missing:
            raise ValueError(f"files lacks {', '.join(sorted(missing))}")
        if own := {MANIFEST, SIGNATURE} & set(self.files):
            raise ValueError(
                f"files lists {', '.join(sorted(own))}, which cannot hold its own digest"
            )
        return self

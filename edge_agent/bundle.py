"""A bundle on disk: manifest, digests, compatibility. Knows nothing of what is in the model.

The loader reads each file once, compares its digest, and hands out those bytes: what was verified
is what runs. Absolute paths, ``..``, links and special files are refused before anything is read.
"""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_agent import __version__
from edge_agent.errors import BundleError
from edge_agent.types import ModelCard

FORMAT = 1
MANIFEST = "bundle.json"
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
        return self


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: its manifest, and the bytes of each file."""

    path: Path
    manifest: Manifest
    digest: str
    contents: dict[str, bytes]

    @property
    def card(self) -> ModelCard:
        """Name, version and digest, as events carry them."""
        return ModelCard(self.manifest.name, self.manifest.version, self.digest)


def load_bundle(path: Path) -> Bundle:
    """Reads and verifies a bundle folder. Raises BundleError."""
    if not path.is_dir():
        raise BundleError(
            f"bundle {path}: no such directory",
            "set model.bundle to a bundle folder, for instance models/gateway-default",
        )
    raw = _read(path, MANIFEST, MAX_MANIFEST_BYTES)
    manifest = _parse_manifest(path, raw)
    contents = {name: _verified(path, name, entry) for name, entry in manifest.files.items()}
    return Bundle(path, manifest, hashlib.sha256(raw).hexdigest(), contents)


def _parse_manifest(path: Path, raw: bytes) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        details = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'bundle.json'}: {item['msg']}"
            for item in error.errors()
        )
        raise BundleError(
            f"bundle {path}: {MANIFEST} is not usable: {details}",
            "pack the bundle again with `python -m tools train`, or copy it again from its source",
        ) from error
    _check_runtime(path, manifest)
    return manifest


def _check_runtime(path: Path, manifest: Manifest) -> None:
    def number(text: str) -> tuple[int, ...]:
        return tuple(int(part) for part in text.split("."))

    if number(manifest.minimum_runtime) > number(__version__):
        raise BundleError(
            f"bundle {path}: needs edge-agent {manifest.minimum_runtime}, this is {__version__}",
            f"upgrade edge-agent to {manifest.minimum_runtime} or newer, or use an older bundle",
        )


def _verified(path: Path, name: str, entry: FileEntry) -> bytes:
    content = _read(path, name, entry.size_bytes)
    digest = hashlib.sha256(content).hexdigest()
    if len(content) != entry.size_bytes or digest != entry.sha256:
        raise BundleError(
            f"bundle {path}: {name} is damaged: sha256 {digest[:12]}…, "
            f"{len(content)} bytes; the manifest says {entry.sha256[:12]}…, {entry.size_bytes}",
            f"copy {name} again from where the bundle came, then compare with `sha256sum`",
        )
    return content


def _read(path: Path, name: str, limit_bytes: int) -> bytes:
    """At most ``limit_bytes + 1`` bytes of a plain file inside the bundle."""
    parts = PurePosixPath(name).parts
    if (
        set("\\\0") & set(name)
        or not parts
        or name.startswith("/")
        or {"..", "."} & set(name.split("/"))
    ):
        raise BundleError(
            f"bundle {path}: file name {name!r} leads outside the bundle",
            "use a bundle from a source you trust; names in it are plain and relative",
        )
    current = path
    for part in parts:
        current = current / part
        _refuse_links(path, current, name)
    if not current.is_file():
        raise BundleError(
            f"bundle {path}: {name} is not a plain file",
            f"copy {name} again from where the bundle came",
        )
    with current.open("rb") as file:
        return file.read(limit_bytes + 1)


def _refuse_links(path: Path, current: Path, name: str) -> None:
    try:
        status = current.lstat()
    except OSError as error:
        raise BundleError(
            f"bundle {path}: {name} is missing ({error.strerror})",
            f"copy {name} again from where the bundle came",
        ) from error
    hard_linked = stat.S_ISREG(status.st_mode) and status.st_nlink > 1
    if stat.S_ISLNK(status.st_mode) or hard_linked:
        raise BundleError(
            f"bundle {path}: {name} is a link",
            f'replace it by a copy: cp --remove-destination "$(realpath {name})" {name}',
        )

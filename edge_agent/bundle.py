"""A bundle on disk: digests, signature, compatibility. Knows nothing of what is in the model.

The loader reads each file once, compares its digest, and hands out those bytes: what was verified
is what runs. A generator's weights are too large for that: onnxruntime maps the file itself, and
``check_unchanged`` tells afterwards whether it is still the one that was verified. Absolute paths,
``..``, links and special files are refused before anything is read. Files that the manifest does
not list are never read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edge_agent import __version__
from edge_agent.errors import BundleError
from edge_agent.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    SIGNATURE,
    WEIGHTS,
    GenerationTask,
    GeneratorShape,
    Manifest,
)
from edge_agent.plain_files import plain_file, read_plain, reading
from edge_agent.signing import MAX_SIGNATURE_BYTES, BadSignature, PublicKeys
from edge_agent.types import ModelCard

PART_BYTES = 1 << 20
SIGN_FIX = "install a bundle signed for this gateway (python -m tools pack … --sign KEY.pem)"
OTHER_KIND = {
    "encoder": (
        "it writes texts, it routes no messages",
        "name it in a table [specialists.NAME], and an encoder in model.bundle",
    ),
    "generator": (
        "it routes messages, it writes no texts",
        "name a bundle that writes in the table [specialists.NAME], and this one in model.bundle",
    ),
}
"""Problem and fix of a bundle where one of this kind is needed."""

Stamp = tuple[int, ...]
"""Device, inode, size and times of a file: another one whenever the file is."""


@dataclass(frozen=True)
class Claim:
    """A bundle's manifest, believed but for its files. ``path`` is no link.

    ``raw`` and ``signature`` are the bytes of ``bundle.json`` and ``bundle.json.sig``;
    ``signed_by`` is the id of the key that the signature was checked with, None if none was asked.
    """

    path: Path
    manifest: Manifest
    raw: bytes
    signature: bytes | None
    signed_by: str | None

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, which holds that of each file: the bundle's identity."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def card(self) -> ModelCard:
        """Name, version and digest, as events carry them."""
        return ModelCard(self.manifest.name, self.manifest.version, self.digest)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Errors from below say which bundle they are about: an agent may have several."""
        try:
            yield
        except BundleError as error:
            name = f"bundle {self.path}"
            if error.problem.startswith(name):
                raise
            raise BundleError(f"{name}: {error.problem}", error.fix) from error


@dataclass(frozen=True)
class Bundle(Claim):
    """A verified bundle: its manifest, and the bytes of each file but the weights.

    ``weights_stamp`` is what the file system said of these when they were verified.
    """

    contents: dict[str, bytes]
    weights_stamp: Stamp | None = None

    def check_unchanged(self) -> None:
        """To be called when the weights are mapped. BundleError if they changed since verified."""
        with reading(self.path):
            now = _stamp((self.path / WEIGHTS).lstat()) if self.weights_stamp else None
        if now != self.weights_stamp:
            raise BundleError(
                f"bundle {self.path}: {WEIGHTS} was changed while it was being loaded",
                "let no other program write into the folder of a bundle, and load it again",
            )


def load_bundle(path: Path, keys: PublicKeys | None = None) -> Bundle:
    """Reads and verifies a bundle folder; with ``keys``, its signature too. Raises BundleError."""
    return read_files(read_claim(path, keys))


def read_files(claim: Claim) -> Bundle:
    """Reads and verifies the files that a manifest lists. Raises BundleError."""
    contents = {name: _verified(claim, name) for name in claim.manifest.files if name != WEIGHTS}
    stamp = _verified_stamp(claim, WEIGHTS) if WEIGHTS in claim.manifest.files else None
    return Bundle(**vars(claim), contents=contents, weights_stamp=stamp)


def read_claim(path: Path, keys: PublicKeys | None = None) -> Claim:
    """Reads manifest and signature only. Raises BundleError.

    A link to the folder is followed here, once: if it is swapped meanwhile, all files still come
    from one bundle.
    """
    with reading(path):
        _require_folder(path)
        path = path.resolve()
        raw = read_plain(path, MANIFEST, MAX_MANIFEST_BYTES)
        signature = _read_signature(path)
    signed_by = _signer(path, raw, signature, keys) if keys else None
    return Claim(path, _parse_manifest(path, raw), raw, signature, signed_by)


def _require_folder(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise BundleError(
            f"bundle {path}: the link leads to {path.readlink()}, which is not there",
            "see what is installed: edge-agent bundle list; then edge-agent bundle install FILE",
        )
    if not path.is_dir():
        raise BundleError(
            f"bundle {path}: no such directory",
            "correct the path: in the configuration it is model.bundle, challenger.bundle or "
            "specialists.NAME.bundle; installed bundles are shown by edge-agent bundle list",
        )


def verify_bundle(path: Path, keys: PublicKeys | None = None) -> Claim:
    """Like load_bundle, but keeps nothing: it may be larger than the memory. Raises BundleError."""
    claim = read_claim(path, keys)
    verify_files(claim)
    return claim


def verify_files(claim: Claim) -> None:
    """Like read_files, but keeps nothing. Raises BundleError."""
    for name in claim.manifest.files:
        _verified_stamp(claim, name)


def check_kind(claim: Claim, kind: str) -> None:
    """BundleError when a bundle that is to answer (``encoder``) writes, or the other way round."""
    if claim.manifest.kind != kind:
        problem, fix = OTHER_KIND[kind]
        raise BundleError(f"bundle {claim.path}: {problem}", fix)


def writing_task(claim: Claim) -> tuple[GeneratorShape, GenerationTask]:
    """What a bundle that writes is, and what it is to do. BundleError when nobody has said."""
    check_kind(claim, "generator")
    shape, task = claim.manifest.generator, claim.manifest.task
    if shape is None or task is None:
        raise BundleError(
            f"bundle {claim.path}: not a generator with a task",
            "give it one: python -m tools give-task BUNDLE --task TASK.json --out NEW",
        )
    return shape, task


def _read_signature(path: Path) -> bytes | None:
    if not os.path.lexists(path / SIGNATURE):
        return None
    return read_plain(path, SIGNATURE, MAX_SIGNATURE_BYTES)


def _signer(path: Path, raw: bytes, signature: bytes | None, keys: PublicKeys) -> str:
    if signature is None:
        raise BundleError(
            f"bundle {path}: not signed ({SIGNATURE} is missing), and {keys.file} asks for it",
            SIGN_FIX,
        )
    try:
        return keys.verify(raw, signature)
    except BadSignature as error:
        raise BundleError(f"bundle {path}: {SIGNATURE} {error}", SIGN_FIX) from error


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


def _verified(claim: Claim, name: str) -> bytes:
    with reading(claim.path):
        content = read_plain(claim.path, name, claim.manifest.files[name].size_bytes)
    _compare(claim, name, hashlib.sha256(content).hexdigest(), len(content))
    return content


def _verified_stamp(claim: Claim, name: str) -> Stamp:
    """The stamp of a file whose digest is right, found out a part at a time."""
    found, size_bytes = hashlib.sha256(), 0
    limit_bytes = claim.manifest.files[name].size_bytes
    with reading(claim.path), plain_file(claim.path, name).open("rb") as file:
        stamp = _stamp(os.fstat(file.fileno()))
        while size_bytes <= limit_bytes and (part := file.read(PART_BYTES)):
            found.update(part)
            size_bytes += len(part)
    _compare(claim, name, found.hexdigest(), size_bytes)
    return stamp


def _stamp(status: os.stat_result) -> Stamp:
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return (status.st_dev, status.st_ino, status.st_size, *times)


def _compare(claim: Claim, name: str, digest: str, size_bytes: int) -> None:
    entry = claim.manifest.files[name]
    if (digest, size_bytes) != (entry.sha256, entry.size_bytes):
        raise BundleError(
            f"bundle {claim.path}: {name} is damaged: sha256 {digest[:12]}…, "
            f"{size_bytes} bytes; the manifest says {entry.sha256[:12]}…, {entry.size_bytes}",
            f"copy {name} again from where the bundle came, then compare with `sha256sum`",
        )

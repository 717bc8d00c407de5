"""Installs, lists, verifies, rolls back and removes bundles on this gateway."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import tempfile
from datetime import datetime
from pathlib import Path

from edge_agent.bundle import Claim, load_bundle, read_claim, verify_bundle
from edge_agent.config import Config
from edge_agent.disk import explained
from edge_agent.errors import BundleError
from edge_agent.settings import DEFAULT_CONFIG, configured_keys, load_config
from edge_agent.signing import PublicKeys, read_public_keys
from edge_agent.staging import called, opened
from edge_agent.store import KEEP, SYSTEM_STORE, Change, Installed, Store, default_store

DISK = Path("/var/tmp")  # noqa: S108 - used through tempfile alone
"""For what is large; outlives a start of the machine, so it is no memory."""
HEADER = ("BUNDLE", "VERSION", "DIGEST", "MB", "INSTALLED", "")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command, and of what it does."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def action(run: object, name: str, text: str) -> argparse.ArgumentParser:
        one = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        one.set_defaults(action=run)
        if name != "verify":
            _add_store(one)
        if name != "list":
            _add_config(one)
        return one

    install = action(_install, "install", "Verifies a bundle and makes it the current one.")
    install.add_argument("source", type=Path, metavar="FILE|DIR", help="archive or bundle folder")
    install.add_argument(
        "--keep", type=_count, default=KEEP, help="versions that stay (%(default)s)"
    )
    listing = action(_list, "list", "Shows what is installed.")
    listing.add_argument("--json", action="store_true", help="for programs")
    rollback = action(_rollback, "rollback", "Makes the previous version the current one again.")
    rollback.add_argument("name", nargs="?", metavar="NAME", help="if there are several bundles")
    rollback.add_argument("--to", metavar="VERSION", help="this one instead of the previous one")
    verify = action(_verify, "verify", "Verifies a bundle; installs nothing.")
    verify.add_argument("source", type=Path, metavar="FILE|DIR", help="archive or bundle folder")
    verify.add_argument("--golden", action="store_true", help="let it answer its golden messages")
    remove = action(_remove, "remove", "Removes a version that is not the current one.")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("version", metavar="VERSION", help="1.0.0, or with digest as `list` has it")


def run(options: argparse.Namespace) -> int:
    """0 when it is done."""
    code: int = options.action(options)
    return code


def _add_store(parser: argparse.ArgumentParser) -> None:
    text = f"{SYSTEM_STORE}, or of the user who is not root"
    parser.add_argument("--store", type=Path, metavar="DIR", help=text)


def _add_config(parser: argparse.ArgumentParser) -> None:
    text = f"what asks for signatures, and names bundles ({DEFAULT_CONFIG})"
    parser.add_argument("--config", type=Path, metavar="FILE", help=text)
    text = "ask for a signature by this key"
    parser.add_argument("--public-key", type=Path, metavar="FILE", help=text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def _install(options: argparse.Namespace) -> int:
    config = _config(options)
    change = _store(options, config).install(options.source, options.keep)
    done = "installed" if change.is_new else "installed before, and whole"
    if change.repaired:
        done = f"installed before; replaced {', '.join(change.repaired)}"
    print(f"{_named(change.claim)}: {done}")
    if change.left_out:
        print(f"  not in its manifest, left out: {', '.join(change.left_out)}")
    if change.removed:
        print(f"  removed: {', '.join(change.removed)}")
    _tell(change)
    _tell_next(options, config, change)
    return 0


def _rollback(options: argparse.Namespace) -> int:
    config = _config(options)
    change = _store(options, config).rollback(options.name, options.to)
    print(f"{_named(change.claim)}: verified")
    _tell(change)
    _tell_next(options, config, change)
    return 0


def _tell(change: Change) -> None:
    if change.before is None:
        print(f"in use: {change.claim.path}")
    else:
        card, before = change.claim.card, change.before
        older = version_order(card.version) < version_order(before.version)
        print(f"in use: {change.claim.path}, instead of {before.path.name}")
        if older:
            print(f"  a downgrade: {card.version} is older than {before.version}")


def _tell_next(options: argparse.Namespace, config: Config | None, change: Change) -> None:
    current = change.current
    sudo = "sudo " if os.geteuid() == 0 else ""
    named = f" --config {shlex.quote(str(options.config))}" if options.config else ""
    reload = f"{sudo}edge-agent reload{named}"
    if any(_same_link(path, current) for path in configured_bundles(config)):
        print(f"next: {reload}")
    else:
        writes = change.claim.manifest.kind == "generator"
        table = "[specialists.NAME]" if writes else "[model]"
        print(f'next: set bundle = "{current}" below {table} in the configuration')
        print(f"then: sudo systemctl restart edge-agent; from now on, {reload} will do")


def _same_link(path: Path, link: Path) -> bool:
    return (path.parent.resolve(), path.name) == (link.parent.resolve(), link.name)


def configured_bundles(config: Config | None) -> list[Path]:
    """Every bundle that the configuration names."""
    if config is None:
        return []
    named = [config.model.bundle, config.challenger and config.challenger.bundle]
    named += [specialist.bundle for specialist in config.specialists.values()]
    return [path for path in named if path]


def _list(options: argparse.Namespace) -> int:
    store = Store((options.store or default_store()).absolute())
    found = [(name, one) for name in store.names() for one in store.versions(name)]
    if options.json:
        print(json.dumps([_as_json(name, one) for name, one in found], indent=2))
        return 0
    if not found:
        print(f"no bundles in {store.root}")
    else:
        _print_table([HEADER, *(_row(name, one) for name, one in found)])
    if options.store is None and store.root != SYSTEM_STORE:
        print("those of the service: sudo edge-agent bundle list")
    return 0


def _verify(options: argparse.Namespace) -> int:
    source: Path = options.source
    keys = _keys(options, _config(options))
    place = _room(source)
    with (
        explained(place),
        tempfile.TemporaryDirectory(prefix="edge-agent-", dir=place) as work,
    ):
        folder = opened(source, Path(work))
        with called(source, folder):
            claim = verify_bundle(folder, keys)
            golden = _answered(claim.path, keys) if options.golden else ""
    print(f"{_named(claim)}: every file is as its manifest says{golden}")
    if claim.signed_by:
        return 0
    if claim.signature is None:
        print("not signed")
    else:
        print("signed; not checked, since no public key is configured: --public-key FILE")
    return 0


def _room(source: Path) -> Path:
    """Where an archive is unpacked: on the disk it lies on, for /tmp may be memory."""
    places = (source.absolute().parent, DISK)
    return next((place for place in places if os.access(place, os.W_OK)), DISK)


def _answered(folder: Path, keys: PublicKeys | None) -> str:
    from edge_agent.golden import proof  # noqa: PLC0415 - only this needs the runtime

    return f", {proof(load_bundle(folder, keys))}"


def _remove(options: argparse.Namespace) -> int:
    store = _store(options, _config(options))
    print(f"removed {store.remove(options.name, options.version)}")
    return 0


def _store(options: argparse.Namespace, config: Config | None) -> Store:
    keys = _keys(options, config)
    return Store((options.store or default_store()).absolute(), keys, configured_bundles(config))


def _config(options: argparse.Namespace) -> Config | None:
    """The configuration that is named, else the service's if there is one."""
    if options.config is None:
        with explained(DEFAULT_CONFIG.parent):
            if not DEFAULT_CONFIG.exists():
                return None
    return load_config(options.config, [])


def _keys(options: argparse.Namespace, config: Config | None) -> PublicKeys | None:
    if options.public_key:
        return read_public_keys(options.public_key)
    return configured_keys(config) if config else None


def _named(claim: Claim) -> str:
    card = claim.card
    signer = f", signed by key {claim.signed_by}" if claim.signed_by else ""
    return f"{card.name} {card.version} ({card.digest[:12]}{signer})"


def _as_json(name: str, one: Installed) -> dict[str, object]:
    try:
        claim = read_claim(one.path)
        known = {"digest": claim.digest, "signed": claim.signature is not None}
    except BundleError as error:
        known = {"problem": error.problem}
    return {
        "name": name,
        "version": one.version,
        "current": one.is_current,
        "previous": one.is_previous,
        "path": str(one.path),
        "size_bytes": _size_bytes(one),
        "installed": _installed(one).isoformat(),
        **known,
    }


def _row(name: str, one: Installed) -> tuple[str, ...]:
    mark = "current" if one.is_current else "previous" if one.is_previous else ""
    try:
        read_claim(one.path)
    except BundleError:
        mark = f"{mark} damaged: edge-agent bundle verify {one.path}".strip()
    size = f"{_size_bytes(one) / 1e6:.1f}"
    return (name, one.version, one.digest12, size, f"{_installed(one):%Y-%m-%d %H:%M}", mark)


def _size_bytes(one: Installed) -> int:
    return sum(path.lstat().st_size for path in one.path.rglob("*") if path.is_file())


def _installed(one: Installed) -> datetime:
    return datetime.fromtimestamp(int(one.path.stat().st_mtime)).astimezone()


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def version_order(version: str) -> tuple[object, ...]:
    """Sorts versions as people mean them: 1.9 before 1.10, 2.0-rc1 before 2.0."""
    core, _, early = version.partition("+")[0].partition("-")
    return _numbers_and_words(core), not early, _numbers_and_words(early)


def _numbers_and_words(text: str) -> tuple[tuple[int, int, str], ...]:
    parts = re.findall(r"\d+|[^\d.-]+", text)
    return tuple((1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts)

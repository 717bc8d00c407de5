"""The store: bundles side by side, one in use, and nothing half done to be seen."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from edge_agent.bundle import load_bundle
from edge_agent.errors import AgentError, BundleError, SetupError
from edge_agent.manifest import MANIFEST, SIGNATURE
from edge_agent.signing import read_public_keys
from edge_agent.store import Store
from tests.support.keys import make_key, sign_bundle
from tests.support.releases import make_version, pack_version
from tests.support.tiny_bundle import break_bundle

Make = Callable[..., Path]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Bundle folders: ``make("1.0.0")``, each different."""

    return partial(make_version, tmp_path)


def in_use(store: Store, name: str = "tiny") -> str:
    """The version that whoever follows ``current`` gets, verified."""
    return load_bundle(store.root / name / "current").card.version


def shown(store: Store) -> list[str]:
    """Everything in the store, links as links."""
    return sorted(
        f"{p.relative_to(store.root)}{f' -> {p.readlink()}' if p.is_symlink() else ''}"
        for p in store.root.rglob("*")
        if p.name != ".lock"
    )


def refusal(change: Callable[[], object]) -> AgentError:
    with pytest.raises(SetupError) as caught:
        change()
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("form", ["folder", ".tar.gz", ".tar.zst"])
def test_an_installed_bundle_is_the_source_and_in_use(
    store: Store, make: Make, tmp_path: Path, form: str
) -> None:
    """Readable by everybody, whoever installs and under whatever umask."""
    source, umask = make("1.0.0"), os.umask(0o077)
    digest = load_bundle(source).digest
    archive = source if form == "folder" else pack_version(source, tmp_path / f"x{form}")
    change = store.install(archive)
    os.umask(umask)
    place = f"tiny/1.0.0-{digest[:12]}"
    assert (change.claim.path, change.is_new, change.before) == (store.root / place, True, None)
    files = ("bundle.json", "golden.jsonl", "model.onnx", "tokenizer.json")
    assert shown(store) == sorted(
        ["tiny", place, *(f"{place}/{f}" for f in files), f"tiny/current -> {Path(place).name}"]
    )
    assert load_bundle(change.current).contents == load_bundle(source).contents
    for path in (store.root, *store.root.rglob("*")):
        if not path.is_symlink() and path.name != ".lock":
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


def test_the_next_version_takes_over_and_the_one_before_is_remembered(
    store: Store, make: Make
) -> None:
    first = store.install(make("1.0.0"))
    second = store.install(make("1.1.0"))
    assert second.before is not None
    assert second.before.path == first.claim.path
    current, previous = store.versions("tiny")
    assert (current.version, current.is_current, current.is_previous) == ("1.1.0", True, False)
    assert (previous.version, previous.is_current, previous.is_previous) == ("1.0.0", False, True)
    assert in_use(store) == "1.1.0"


def test_bundles_of_several_names_do_not_touch_each_other(store: Store, make: Make) -> None:
    store.install(make("1.0.0"))
    store.install(make("2.0.0", name="other"))
    assert store.names() == ["other", "tiny"]
    assert (in_use(store), in_use(store, "other")) == ("1.0.0", "2.0.0")


def test_the_same_bundle_again_changes_nothing(store: Store, make: Make) -> None:
    """Not even a date."""
    source = make("1.0.0")
    store.install(source)
    before = {p: p.lstat().st_mtime_ns for p in (store.root / "tiny").rglob("*")}
    change = store.install(source)
    assert (change.is_new, change.repaired, change.before) == (False, (), None)
    assert {p: p.lstat().st_mtime_ns for p in (store.root / "tiny").rglob("*")} == before


def test_one_version_of_two_contents_stands_side_by_side(store: Store, make: Make) -> None:
    """A version number used twice hides nothing: the folder's name has the digest."""
    store.install(make("1.0.0", note="a"))
    store.install(make("1.0.0", note="b"))
    said = refusal(lambda: store.remove("tiny", "1.0.0"))
    assert "stands for several" in said.problem
    for installed in store.versions("tiny"):
        assert installed.path.name in said.fix


@pytest.mark.parametrize("how", ["bit", "missing", "link", "manifest", "hard"])
def test_installing_again_repairs_what_was_damaged(
    store: Store, make: Make, tmp_path: Path, how: str
) -> None:
    """Each file is replaced at one stroke; the current link never points to nothing."""
    source = make("1.0.0")
    place = store.install(source).claim.path
    name = MANIFEST if how == "manifest" else "model.onnx"
    if how in ("missing", "link"):
        (place / name).unlink()
    if how == "link":
        (place / name).symlink_to(source / name)
    elif how == "hard":
        os.link(place / name, tmp_path / "elsewhere")
    elif how != "missing":
        (place / name).write_bytes(b"x")
    with pytest.raises(BundleError):
        load_bundle(place)
    assert store.install(source).repaired == (name,)
    assert load_bundle(place).contents == load_bundle(source).contents


def test_a_new_signature_over_the_same_manifest_comes_in(
    store: Store, make: Make, tmp_path: Path
) -> None:
    """Keys change, the bundle does not."""
    source = make("1.0.0")
    store.install(source)
    private, public = make_key(tmp_path)
    keyed = Store(store.root, read_public_keys(public))
    change = keyed.install(sign_bundle(source, private))
    assert (change.is_new, change.repaired) == (False, (SIGNATURE,))
    assert load_bundle(change.current, read_public_keys(public)).signed_by == change.claim.signed_by


def test_a_store_with_a_key_lets_nothing_unsigned_in_or_back(
    store: Store, make: Make, tmp_path: Path
) -> None:
    """Rollback asks too."""
    private, public = make_key(tmp_path)
    store.install(make("1.0.0"))
    keyed = Store(store.root, read_public_keys(public))
    assert "not signed" in refusal(lambda: keyed.install(make("1.1.0"))).problem
    archive = pack_version(sign_bundle(make("1.2.0"), private), tmp_path / "x.tar.gz")
    assert keyed.install(archive).claim.signed_by is not None
    assert "not signed" in refusal(keyed.rollback).problem
    assert in_use(store) == "1.2.0"


def test_files_that_the_manifest_does_not_list_stay_out(
    store: Store, make: Make, tmp_path: Path
) -> None:
    source = make("1.0.0")
    (source / "sub").mkdir()
    (source / "sub" / "notes.txt").write_text("x")
    (source / "model.ort").symlink_to("/etc/passwd")
    assert store.install(source).left_out == ("model.ort", "sub/notes.txt")
    (source / "model.ort").unlink()
    other = Store(tmp_path / "other")
    assert other.install(pack_version(source, tmp_path / "x.tar.gz")).left_out == ("sub/notes.txt",)
    assert not [line for line in shown(other) if "notes" in line or ".ort" in line]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("how", ["digest", "missing-file", "manifest", "path"])
def test_a_bundle_that_is_none_never_gets_in(
    store: Store, make: Make, tmp_path: Path, how: str, packed: bool
) -> None:
    """What was in use stays in use; the error names what the person named."""
    store.install(make("1.0.0"))
    before = shown(store)
    source = break_bundle(make("1.1.0"), how)
    source = pack_version(source, tmp_path / "x.tar.gz") if packed else source
    said = refusal(lambda: store.install(source)).problem
    assert str(source) in said
    assert ".work" not in said
    assert shown(store) == before


def test_a_source_that_is_not_there(store: Store, tmp_path: Path) -> None:
    assert "no such file" in refusal(lambda: store.install(tmp_path / "absent")).problem


def test_rollback_goes_back_and_forth(store: Store, make: Make) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        store.install(make(version))
    for expected in ("1.1.0", "1.2.0", "1.1.0"):
        change = store.rollback()
        assert change.claim.card.version == expected == in_use(store)
    change = store.rollback("tiny", "1.0.0")
    assert (in_use(store), change.before and change.before.version) == ("1.0.0", "1.1.0")


def test_rollback_never_goes_to_a_damaged_one(store: Store, make: Make) -> None:
    place = store.install(make("1.0.0")).claim.path
    store.install(make("1.1.0"))
    (place / "model.onnx").write_bytes(b"x")
    assert "model.onnx is damaged" in refusal(store.rollback).problem
    assert in_use(store) == "1.1.0"


def test_rollback_that_has_nowhere_to_go_says_what_to_do(store: Store, make: Make) -> None:
    assert "holds 0 bundles" in refusal(store.rollback).problem
    store.install(make("1.0.0"))
    said = refusal(store.rollback)
    assert "no previous version" in said.problem
    assert said.fix == f"edge-agent bundle install FILE --store {store.root}"
    store.install(make("1.0.0", name="other"))
    assert "name one of: other, tiny" in refusal(store.rollback).fix
    assert "none of that name" in refusal(lambda: store.rollback("../tiny")).problem
    assert "is not installed" in refusal(lambda: store.rollback("tiny", "../..")).problem


def test_the_last_three_stay_and_never_the_current_or_previous_goes(
    store: Store, make: Make
) -> None:
    versions = [f"1.{i}.0" for i in range(5)]
    for i, version in enumerate(versions):
        os.utime(store.install(make(version)).claim.path, (i, i))
    assert sorted(i.version for i in store.versions("tiny")) == versions[2:]
    store.rollback("tiny", "1.2.0")
    change = store.install(make("1.5.0"), keep=1)
    assert len(change.removed) == 2
    assert [(i.version, i.is_previous) for i in store.versions("tiny")] == [
        ("1.5.0", False), ("1.2.0", True),
    ]  # fmt: skip


def test_remove(store: Store, make: Make) -> None:
    """Never the current one; the fix that is printed makes it possible."""
    for version in ("1.0.0", "1.1.0"):
        store.install(make(version))
    said = refusal(lambda: store.remove("tiny", "1.1.0"))
    assert "is the current one" in said.problem
    place = store.versions("tiny")[1].path.name
    assert said.fix == f"first edge-agent bundle rollback tiny --to {place} --store {store.root}"
    removed = store.remove("tiny", place)
    assert not removed.exists()
    assert "no previous version" in refusal(store.rollback).problem
    assert [line for line in shown(store) if "previous" in line or "1.0.0" in line] == []


def test_one_change_at_a_time(store: Store, make: Make) -> None:
    """The lock dies with its holder."""
    store.install(make("1.0.0"))
    with (store.root / ".lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        for change in (lambda: store.install(make("1.1.0")), store.rollback):
            assert "another edge-agent is changing it" in refusal(change).problem
    assert store.install(make("1.2.0")).is_new


def test_the_lock_is_no_way_to_other_files(store: Store, make: Make, tmp_path: Path) -> None:
    """Root may install where another user can place links."""
    store.install(make("1.0.0"))
    (store.root / ".lock").unlink()
    (tmp_path / "precious").write_text("x")
    (store.root / ".lock").symlink_to(tmp_path / "precious")
    assert ".lock: Too many levels of symbolic links" in refusal(store.rollback).problem
    assert (tmp_path / "precious").read_text() == "x"


def test_the_store_can_be_moved(store: Store, make: Make, tmp_path: Path) -> None:
    """Its links are relative."""
    store.install(make("1.0.0"))
    shutil.move(store.root, tmp_path / "moved")
    assert in_use(Store(tmp_path / "moved")) == "1.0.0"


@pytest.mark.parametrize("link", ["/nowhere/else", "gone-000000000000", "../../../../etc"])
def test_links_that_lead_nowhere_are_put_right(store: Store, make: Make, link: str) -> None:
    """Somebody's hand was in it."""
    store.install(make("1.0.0"))
    (store.root / "tiny" / "current").unlink()
    (store.root / "tiny" / "current").symlink_to(link)
    assert not store.versions("tiny")[0].is_current
    said = refusal(lambda: load_bundle(store.root / "tiny" / "current"))
    assert "bundle list" in said.fix or link.endswith("etc")
    store.install(make("1.1.0"))
    assert in_use(store) == "1.1.0"


def test_a_swap_in_the_middle_of_a_load_mixes_nothing(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link is followed once: all files come from the bundle it led to then."""
    store.install(make("1.0.0"))
    later = make("1.1.0")
    real = Path.resolve

    def resolve_then_swap(path: Path, strict: bool = False) -> Path:
        found = real(path, strict)
        if path.name == "current":
            store.install(later)
        return found

    monkeypatch.setattr(Path, "resolve", resolve_then_swap)
    assert load_bundle(store.root / "tiny" / "current").card.version == "1.0.0"
    monkeypatch.undo()
    assert in_use(store) == "1.1.0"


def test_a_place_that_cannot_be_a_store(store: Store, make: Make, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    said = refusal(lambda: store.install(make("1.0.0")))
    assert "store: " in said.problem
    assert said.fix == f"see what lies there: ls -ld {store.root}"

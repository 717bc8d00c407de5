"""``edge-agent bundle``: what it prints, and that what it prints next works as printed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent import store
from edge_agent.bundle import load_bundle
from edge_agent.cli import main
from edge_agent.commands import bundle as command
from edge_agent.manifest import MANIFEST
from tests.support.agent_process import write_config
from tests.support.keys import make_key, sign_bundle
from tests.support.releases import make_version
from tests.support.tiny_bundle import break_bundle, tiny_bundle, write_manifest
from tests.support.tiny_generator import tiny_generator

Say = Callable[..., str]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the bundles of the service lie, for this test; it has no configuration yet."""
    monkeypatch.setattr(store, "SYSTEM_STORE", tmp_path / "bundles")
    monkeypatch.setattr(command, "SYSTEM_STORE", tmp_path / "bundles")
    monkeypatch.setattr(command, "DEFAULT_CONFIG", tmp_path / "etc" / "edge-agent.toml")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tmp_path / "bundles"


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs ``edge-agent bundle …``; gives what it printed. Fails on another exit code."""

    def run(*words: object, code: int = 0) -> str:
        assert main(["bundle", *map(str, words)]) == code
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    return run


def test_install_says_what_is_in_use_and_what_comes_next(
    say: Say, root: Path, tmp_path: Path
) -> None:
    """The line that it prints for the configuration makes the agent follow."""
    said = say("install", make_version(tmp_path, "1.0.0"))
    assert re.match(r"tiny 1\.0\.0 \([0-9a-f]{12}\): installed\nin use: ", said)
    (line,) = re.findall(r"^next: set (bundle = .*) below \[model\]", said, re.MULTILINE)
    config = write_config(tmp_path / "c.toml", 1, None)
    config.write_text(config.read_text().replace("[model]", f"[model]\n{line}"))
    assert main(["check-config", "--config", str(config)]) == 0
    said = say("install", make_version(tmp_path, "1.1.0"), "--config", config)
    assert said.endswith(f"next: sudo edge-agent reload --config {config}\n")
    assert load_bundle(root / "tiny" / "current").card.version == "1.1.0"


def test_the_service_s_configuration_is_found_by_itself(
    say: Say, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "etc" / "edge-agent.toml"
    config.parent.mkdir()
    model = {"bundle": str(root / "tiny" / "current"), "public_key_file": "key.pem"}
    write_config(config, 1, None, model=model)
    monkeypatch.setattr("edge_agent.settings.DEFAULT_CONFIG", config)
    private, public = make_key(tmp_path)
    (tmp_path / "etc" / "key.pem").write_bytes(public.read_bytes())
    source = make_version(tmp_path, "1.0.0")
    assert "not signed" in say("install", source, code=78)
    assert not (root / "tiny").exists()
    said = say("install", sign_bundle(source, private))
    assert ", signed by key " in said
    assert said.endswith("next: sudo edge-agent reload\n")


def test_a_broken_configuration_lets_nothing_in(say: Say, root: Path, tmp_path: Path) -> None:
    """It may have asked for a signature."""
    config = tmp_path / "etc" / "edge-agent.toml"
    config.parent.mkdir()
    config.write_text("[model\n")
    said = say("install", make_version(tmp_path, "1.0.0"), "--config", config, code=78)
    assert "mend the TOML" in said
    assert not root.exists()


def test_the_same_again_and_a_downgrade_are_said(say: Say, tmp_path: Path) -> None:
    older, newer = make_version(tmp_path, "1.9.0"), make_version(tmp_path, "1.10.0")
    say("install", older)
    assert "a downgrade" not in say("install", newer)
    assert "): installed before, and whole\nin use: " in say("install", newer)
    said = say("install", older)
    assert "a downgrade: 1.9.0 is older than 1.10.0" in said
    assert re.search(r"in use: .*/1\.9\.0-\w{12}, instead of 1\.10\.0-\w{12}\n", said)


def test_what_was_repaired_left_out_or_removed_is_said(
    say: Say, root: Path, tmp_path: Path
) -> None:
    source = make_version(tmp_path, "1.0.0")
    (source / "notes.txt").write_text("")
    assert "not in its manifest, left out: notes.txt" in say("install", source)
    (root / "tiny" / "current" / "model.onnx").write_bytes(b"")
    assert "): installed before; replaced model.onnx\n" in say("install", source)
    said = [say("install", make_version(tmp_path, f"2.{i}.0"), "--keep", 2) for i in range(2)]
    assert "removed" not in said[0]
    assert re.search(r"removed: 1\.0\.0-\w{12}\n", said[1])


def test_what_the_configuration_names_stays(say: Say, root: Path, tmp_path: Path) -> None:
    """A version that is pinned there, be it ever so old."""
    say("install", make_version(tmp_path, "1.0.0"))
    pinned = (root / "tiny" / "current").resolve()
    challenger = {"bundle": str(pinned), "mode": "shadow", "share": 0.5}
    config = write_config(tmp_path / "c.toml", 1, None, challenger=challenger)
    for i in range(5):
        say("install", make_version(tmp_path, f"2.{i}.0"), "--config", config)
    kept = [row.split()[1] for row in say("list").splitlines()[1:]]
    assert kept == ["2.4.0", "2.3.0", "2.2.0", "1.0.0"]
    said = say("remove", "tiny", "1.0.0", "--config", config, code=78)
    assert f"the configuration names {pinned}" in said
    say("remove", "tiny", "1.0.0")


def test_the_next_command_knows_every_bundle_in_use(say: Say, root: Path, tmp_path: Path) -> None:
    """A challenger has a name of its own, and follows its own link."""
    challenger = {"bundle": str(root / "next" / "current"), "mode": "shadow", "share": 0.5}
    config = write_config(tmp_path / "c.toml", 1, None, challenger=challenger)
    source = make_version(tmp_path, "1.0.0", "next")
    assert "next: sudo edge-agent reload" in say("install", source, "--config", config)
    assert "next: set bundle" in say("install", make_version(tmp_path, "1.0.0"), "--config", config)


def test_list(say: Say, root: Path, tmp_path: Path) -> None:
    """Current first; a damaged manifest is named with what shows more."""
    assert say("list") == f"no bundles in {root}\n"
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        say("install", make_version(tmp_path, version))
    header, *rows = say("list").splitlines()
    assert header.split() == ["BUNDLE", "VERSION", "DIGEST", "MB", "INSTALLED"]
    assert [(r.split()[1], r.split()[-1]) for r in rows[:2]] == [
        ("1.2.0", "current"), ("1.1.0", "previous"),
    ]  # fmt: skip
    (root / "tiny" / "previous" / MANIFEST).write_text("{")
    (said,) = re.findall(r"previous damaged: edge-agent (bundle verify .*)", say("list"))
    assert f"{MANIFEST} is not usable" in say(*shlex.split(said)[1:], code=78)


def test_list_for_programs(say: Say, root: Path, tmp_path: Path) -> None:
    assert json.loads(say("list", "--json")) == []
    private, _ = make_key(tmp_path)
    say("install", sign_bundle(make_version(tmp_path, "1.0.0"), private))
    say("install", make_version(tmp_path, "1.1.0"))
    (root / "tiny" / "current" / MANIFEST).write_text("{")
    current, previous = json.loads(say("list", "--json"))
    assert f"{MANIFEST} is not usable" in current["problem"]
    bundle = load_bundle(root / "tiny" / "previous")
    known = {k: previous[k] for k in ("name", "version", "digest", "path", "current", "previous")}
    assert known == {
        "name": "tiny", "version": "1.0.0", "digest": bundle.digest, "path": str(bundle.path),
        "current": False, "previous": True,
    }  # fmt: skip
    assert previous["signed"] is True
    assert previous["size_bytes"] == sum(p.stat().st_size for p in bundle.path.iterdir())


def test_rollback_and_remove(say: Say, root: Path, tmp_path: Path) -> None:
    """What is refused prints the command that makes it possible."""
    say("install", make_version(tmp_path, "1.0.0"))
    say("install", make_version(tmp_path, "1.1.0"))
    said = say("remove", "tiny", "1.1.0", code=78)
    (fix,) = re.findall(r"fix: first edge-agent bundle (.*)", said)
    said = say(*shlex.split(fix))
    assert re.search(r"^tiny 1\.0\.0 \(\w{12}\): verified\nin use: .*/1\.0\.0-", said)
    assert "a downgrade" in said
    assert re.match(rf"removed {root}/tiny/1\.1\.0-\w{{12}}\n", say("remove", "tiny", "1.1.0"))
    assert "no previous version" in say("rollback", code=78)


def test_verify_says_who_signed_and_installs_nothing(say: Say, root: Path, tmp_path: Path) -> None:
    source = make_version(tmp_path, "1.0.0")
    private, public = make_key(tmp_path)
    assert say("verify", source).endswith("every file is as its manifest says\nnot signed\n")
    sign_bundle(source, private)
    assert "signed; not checked, since no public key" in say("verify", source)
    assert ", signed by key " in say("verify", source, "--public-key", public)
    break_bundle(source, "digest")
    assert f"bundle {source}: model.onnx is damaged" in say("verify", source, code=78)
    assert not root.exists()


def test_an_archive_is_unpacked_beside_itself(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in /tmp, which may be memory: where that has no room, there is room on the disk."""
    source = make_version(tmp_path, "1.0.0")
    archive = shutil.make_archive(str(tmp_path / "card" / "tiny"), "gztar", tmp_path, source.name)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no-room"))
    assert "every file is as its manifest says" in say("verify", archive)
    assert [path.name for path in Path(archive).parent.iterdir()] == ["tiny.tar.gz"]
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr(command, "DISK", tmp_path / "disk")
    assert f"{tmp_path / 'disk'}" in say("verify", archive, code=78)
    (tmp_path / "disk").mkdir()
    assert "every file is as its manifest says" in say("verify", archive)


def test_verify_lets_it_answer(say: Say, tmp_path: Path) -> None:
    """On this machine, as it did where it was made."""
    source = tiny_bundle(tmp_path / "tiny")
    for label, code in (("fault", 0), ("alarm", 78)):
        route = {"label": label, "confidence": 0.98, "abstained": False}
        entities = [{"label": "symptom", "start": 0, "end": 7}]
        line = {"text": "leaking", "route": route, "entities": entities}
        (source / "golden.jsonl").write_text(json.dumps(line))
        write_manifest(source, json.loads((source / MANIFEST).read_text()))
        said = say("verify", source, "--golden", code=code)
        assert ("1 golden messages answered alike" if code == 0 else "does not answer as") in said


def test_a_bundle_that_writes_is_verified_and_placed_as_such(say: Say, tmp_path: Path) -> None:
    """It writes about its golden messages; what comes next names the table of a specialist."""
    source = tiny_generator(tmp_path / "writer")
    (source / "golden.jsonl").write_text('{"text": "pump P-101 leaks"}\n')
    write_manifest(source, json.loads((source / MANIFEST).read_text()))
    assert "1 golden messages written about" in say("verify", source, "--golden")
    assert "below [specialists.NAME] in" in say("install", source)


def test_a_bundle_that_writes_half_needs_more_room(say: Say, tmp_path: Path) -> None:
    """Neither another runtime nor another training would give it any."""
    source = tiny_generator(tmp_path / "writer", max_output_tokens=3)
    (source / "golden.jsonl").write_text('{"text": "pump P-101 leaks"}\n')
    write_manifest(source, json.loads((source / MANIFEST).read_text()))
    said = say("verify", source, "--golden", code=78)
    assert "no whole output: token-limit" in said
    assert "raise task.max_output_tokens" in said


def test_somebody_who_is_not_root_has_a_store_of_their_own(
    say: Say, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is told where the other one is."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "me"))
    say("install", make_version(tmp_path, "1.0.0"))
    assert not root.exists()
    assert (tmp_path / "me" / "edge-agent" / "bundles" / "tiny" / "current").is_dir()
    assert "sudo edge-agent bundle list" in say("list")


@pytest.mark.parametrize("words", [["install", "x", "--keep", "0"], ["install"], [], ["instal"]])
def test_wrong_usage_is_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bundle", *words])
    assert caught.value.code == 2
    assert "usage: edge-agent bundle" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0.0", "1.0.1"), ("1.9", "1.10"), ("1.0", "1.0.1"), ("1.0.0-rc1", "1.0.0"),
        ("1.0.0-rc1", "1.0.0-rc2"), ("1.0.0-rc9", "1.0.0-rc10"), ("2025.12.1", "2026.1.1"),
        ("1.0a", "1.1"), ("v1", "v2"), ("1.0.0-1", "1.0.0-2"),
    ],
)  # fmt: skip
def test_versions_are_ordered_as_people_mean_them(older: str, newer: str) -> None:
    assert command.version_order(older) < command.version_order(newer)
    assert command.version_order(older + "+build7") == command.version_order(older)

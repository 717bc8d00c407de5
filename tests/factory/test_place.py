"""The folder that a bundle is written into."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.bundling.place import refuse_foreign_folder, replacing
from tools.errors import ToolError


def test_what_is_written_takes_the_place_of_what_stood_there(tmp_path: Path) -> None:
    out = tmp_path / "models" / "my-site"
    for text in ("old", "new"):
        with replacing(out) as fresh:
            fresh.mkdir()
            (fresh / text).write_text(text)
    assert [path.name for path in out.iterdir()] == ["new"]
    assert list(out.parent.iterdir()) == [out]


def half_written(fresh: Path) -> None:
    fresh.mkdir()
    (fresh / "new").write_text(str(1 / 0))


def test_after_an_error_the_old_one_stands_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "my-site"
    out.mkdir()
    (out / "old").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(out) as fresh:
        half_written(fresh)
    assert [path.name for path in out.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("named", [".", "files/.."])
def test_a_bundle_is_not_replaced_from_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """What is written lies beside it, and that would be in it: both would be gone."""
    out = tmp_path / "my-site"
    (out / "files").mkdir(parents=True)
    (out / "bundle.json").write_text('{"files": {}}')
    refuse_foreign_folder(out)
    monkeypatch.chdir(out)
    with pytest.raises(ToolError) as caught:
        refuse_foreign_folder(Path(named))
    assert caught.value.fix == f"cd {tmp_path}, then --out my-site"

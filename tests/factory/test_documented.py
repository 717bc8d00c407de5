"""Every command of the factory that the documents show works as shown, in the order shown.

Only the base is smaller and the passes fewer; training our own corpus takes minutes: left out.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from edge_agent.bundle import load_bundle
from tests.support.small_site import small_site
from tests.support.tiny_bases import tiny_bert
from tools.__main__ import main

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
MINUTES = "python -m tools train"


def commands(document: str) -> list[list[str]]:
    """The arguments of each `python -m tools …` line among the console blocks."""
    text = (ROOT / document).read_text(encoding="utf-8")
    lines = [line for block in BLOCK.findall(text) for line in block.splitlines()]
    wanted = [line for line in lines if line.startswith("python -m tools ") and line != MINUTES]
    return [shlex.split(line)[3:] for line in wanted]


@pytest.mark.parametrize("document", ["README.md", "docs/training.md"])
def test_the_commands_shown_work_in_the_order_shown(
    document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_bert(tmp_path / "base", num_hidden_layers=4)
    site = small_site(tmp_path / "my-site")
    shutil.copy(site / "dev.jsonl", site / "test.jsonl")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "gateway-default").symlink_to(ROOT / "models" / "gateway-default")
    monkeypatch.chdir(tmp_path)
    shown = commands(document)
    assert len({arguments[0] for arguments in shown}) >= 4
    for arguments in shown:
        smaller = ["--base", str(base), "--epochs", "2", "--threads", "1"]
        assert main([*arguments, *(smaller if arguments[0] == "train" else [])]) == 0, arguments
    assert load_bundle(Path("models/my-site")).manifest.name == "my-site"
    assert Path("report.html").stat().st_size > 10_000
    assert Path("my-site.tar.gz").is_file()

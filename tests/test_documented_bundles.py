"""docs/bundles.md is true: its commands run in its order, its configuration is put in force.

In a mount namespace of its own, where /var/lib is empty and /etc is a copy. Digests, dates and
sizes differ; everything else that is shown must be printed.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent_process import write_config
from tests.support.tiny_bundle import tiny_bundle

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "bundles.md"
BLOCK = re.compile(r"```(console|toml)\n(.*?)```", re.DOTALL)
VARYING = (
    (r" +", " "),
    (r"\b[0-9a-f]{12,64}\b", "DIGEST"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE"),
    (r"\b\d+\.\d (MB|DATE)", r"SIZE \1"),
    (r"(no|\d+) golden messages( answered alike)?", "GOLDEN"),
)
END = "== end of the output =="
COMMANDS = {
    "sudo": 'exec "$@"',
    "scp": "",
    "python": f'exec {shlex.quote(sys.executable)} "$@"',
    "edge-agent": f'exec {shlex.quote(sys.executable)} -m edge_agent "$@"',
}
"""What stands in for other machines and for an installation."""


def plain(text: str) -> list[str]:
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text.strip().splitlines()


def steps(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Shell lines, and what they must print (nothing shown: anything)."""
    model: list[str] = []
    for number, (language, text) in enumerate(BLOCK.findall(DOCUMENT.read_text(encoding="utf-8"))):
        if language == "toml":
            model += text.splitlines()[1:]
            config = write_config(folder / f"{number}.toml", 1, None)
            lines = "\n".join(["[model]", *model])
            config.write_text(config.read_text().replace("[model]", lines))
            yield f"cp {config} /etc/edge-agent/edge-agent.toml", []
        elif "--help" not in text:
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                yield command, plain(output)


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """With models/my-site, the programs, and a copy of /etc."""
    bundle = tiny_bundle(tmp_path / "work" / "models" / "my-site")
    manifest = json.loads((bundle / "bundle.json").read_text()) | {"name": "my-site"}
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    (tmp_path / "bin").mkdir()
    for name, script in COMMANDS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "etc").mkdir()
    subprocess.run(["cp", "-r", "/etc/.", tmp_path / "etc"], check=False, capture_output=True)
    shutil.rmtree(tmp_path / "etc" / "edge-agent", ignore_errors=True)
    (tmp_path / "etc" / "edge-agent").mkdir()
    return tmp_path


@pytest.mark.slow
def test_the_commands_shown_print_what_is_shown(workplace: Path) -> None:
    shown = list(steps(workplace))
    assert len(shown) > 20
    script = [
        f"mount -t tmpfs tmpfs /var/lib && mount --bind {workplace}/etc /etc || exit 99",
        f"export PATH={workplace}/bin:$PATH PYTHONPATH={ROOT}; cd {workplace}/work",
        *(f"{command} 2>&1 || echo failed; echo '{END}'" for command, _ in shown),
    ]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", "\n".join(script)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if done.returncode in (1, 99):
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    printed = done.stdout.split(f"{END}\n")[:-1]
    for (command, expected), found in zip(shown, printed, strict=True):
        assert "failed" not in found, f"{command}\n{found}"
        assert not expected or plain(found) == expected, command

"""Locks what a package contains: versions and digests, for both architectures in one file.

pip resolves the requirements of pyproject.toml for a foreign machine. Of what it finds, only what
the agent loads is kept: see LEFT_OUT.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from typing import Any

from tools.debian.target import MACHINES, ROOT, Target
from tools.errors import ToolError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXTRAS = ("signing", "zstd", "generate")
"""Extras of pyproject.toml that the package has: on a gateway nothing can be added later."""

LEFT_OUT = {"huggingface-hub", "coloredlogs", "flatbuffers", "packaging", "protobuf", "sympy"}
"""Needed by parts of tokenizers and onnxruntime that the agent never loads: clients of a model hub
on the Internet, and tools for model files. With them goes all that only they need."""

HEAD = "# Written by `python -m tools.debian lock`: what the Debian package contains.\n"
NAME = re.compile(r"[A-Za-z0-9._-]+")


def locked(python: str) -> str:
    """The text of deb/pythonX.Y.txt. ToolError when the architectures get different versions."""
    pins: dict[str, str] = {}
    digests: dict[str, set[str]] = {}
    for architecture in MACHINES:
        for item in kept(resolve(Target(python, architecture))):
            name, version = normal(item["metadata"]["name"]), item["metadata"]["version"]
            if pins.setdefault(name, version) != version:
                raise ToolError(
                    f"{name}: {pins[name]} and {version}, by architecture",
                    f"limit {name} in pyproject.toml to a version that both have",
                )
            digests.setdefault(name, set()).add(
                item["download_info"]["archive_info"]["hashes"]["sha256"]
            )
    return HEAD + "".join(line(name, pins[name], digests[name]) for name in sorted(pins))


def line(name: str, version: str, digests: set[str]) -> str:
    """A requirement as pip reads it, with its digests."""
    hashes = "".join(f" \\\n    --hash=sha256:{digest}" for digest in sorted(digests))
    return f"{name}=={version}{hashes}\n"


def resolve(target: Target) -> list[dict[str, Any]]:
    """What pip would install, as its installation report says it."""
    with tempfile.TemporaryDirectory() as nowhere:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--report", "-", "--target", nowhere]
        command += [*target.wheel_options, *wanted(target.python)]
        shown = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if shown.returncode:
        raise ToolError(
            f"pip could not resolve the requirements for {target}",
            "see its message above; pip 22.2 or newer is needed: pip install --upgrade pip",
        )
    report: dict[str, Any] = json.loads(shown.stdout)
    return list(report["install"])


def wanted(python: str) -> list[str]:
    """Our own requirements. pip would judge their markers by the Python that it runs on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [project["optional-dependencies"][name] for name in EXTRAS]
    asked = [*project["dependencies"], *(item for extra in extras for item in extra)]
    older = python == "3.10"
    return [item.partition(";")[0].strip() for item in asked if older or ";" not in item]


def kept(report: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items reached from what was asked for, without what is LEFT_OUT."""
    items = {normal(item["metadata"]["name"]): item for item in report}
    reached: list[str] = []
    queue = [name for name, item in items.items() if item["requested"]]
    while queue:
        name = queue.pop()
        if name in LEFT_OUT or name in reached or name not in items:
            continue
        reached.append(name)
        queue += needs(items[name])
    return [items[name] for name in reached]


def needs(item: dict[str, Any]) -> list[str]:
    """Names that an item requires, its extras aside."""
    required = item["metadata"].get("requires_dist", [])
    return [normal(text) for text in required if "extra ==" not in text]


def normal(requirement: str) -> str:
    """A requirement's or project's name as PyPI compares it."""
    found = NAME.match(requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()

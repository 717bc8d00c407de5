"""The shape of the program: imports point downward, sole importers stay sole, files stay small."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "edge_agent"
MAX_LINES = 300

LAYERS = (
    {"errors", "types"},
    {"egress", "exposition", "histogram", "host", "certificates", "crashes"}
    | {"leaving", "log", "state", "systemd", "topics", "values"},
    {"memory", "presence", "sections", "watch"},
    {"answers", "archive", "config", "disk", "manifest", "plain_files", "signing", "surroundings"},
    {"bundle"},
    {"acks", "metrics", "settings", "staging"},
    {"store"},
    {"batching", "every", "outbox", "transport", "wire"},
    {"exporter", "tls_report"},
    {"health", "inference", "intake", "session"},
    {"footprint", "specialists"},
    {"generator"},
    {"fleet", "generating", "golden"},
    {"runner"},
    {"results", "shadow"},
    {"second_stage"},
    {"work"},
    {"reload"},
    {"loading", "standing"},
    {"agent"},
    {"assembly"},
    {"demo", "doctor"},
    {"bench"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
"""Lowest first. A module imports only from layers below its own, and within its own package."""

SOLE_IMPORTERS = {
    "cryptography": "signing.py",
    "llguidance": "inference/grammar.py",
    "onnxruntime": "inference/session.py",
    "paho": "transport/paho.py",
    "tokenizers": "inference/encode.py",
    "structlog": "log.py",
    "zstandard": "archive.py",
}
BROAD_EXCEPT_ALLOWED = {"cli.py", "doctor/examine.py", "reload.py", "transport/paho.py"}
"""The outermost command, the doctor, who must tell of the rest when one check has a bug, the
loader, whose bug leaves the Fleet in place, and the network thread, whose bugs the agent's loop
raises again."""

NEVER_AT_RUN_TIME = {"torch", "transformers", "onnx", "tools", "sklearn", "amqtt"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def imports_of(path: Path) -> list[str]:
    """Full names of the modules that a file imports, inside functions too."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            found += [f"{base}.{alias.name}" for alias in node.names]
    return found


def part_of(path: Path) -> str:
    """The module or package directly below edge_agent that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def layer_of(part: str) -> int:
    layers = [i for i, layer in enumerate(LAYERS) if part in layer]
    assert layers, f"edge_agent/{part} is in no layer: place it in LAYERS"
    return layers[0]


def upward(path: Path) -> list[str]:
    """Imports of a file that do not point downward."""
    own = part_of(path)
    if own == "__init__":
        return [i for i in imports_of(path) if i.startswith("edge_agent.")]
    ours = [i.split(".") for i in imports_of(path) if i.startswith("edge_agent.")]
    parts = {i[1] for i in ours} - {own, "__version__"}
    return sorted(part for part in parts if layer_of(part) >= layer_of(own))


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_point_downward(path: Path) -> None:
    """No module imports from its own layer or from one above."""
    assert upward(path) == []


def test_an_upward_import_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself: `errors` importing `agent` is found."""
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "errors.py").write_text("def f():\n    from edge_agent.agent import Agent\n")
    assert upward(tmp_path / "errors.py") == ["agent"]


@pytest.mark.parametrize("library", SOLE_IMPORTERS)
def test_foreign_libraries_have_one_importer(library: str) -> None:
    """Each wall is one file: foreign objects and exceptions stop there."""
    importers = [
        name_of(path)
        for path in modules()
        if any(i.split(".")[0] == library for i in imports_of(path))
    ]
    assert importers == [SOLE_IMPORTERS[library]]


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_files_stay_small(path: Path) -> None:
    """A file one can read in one go."""
    lines = path.read_text().count("\n")
    assert lines <= MAX_LINES


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_broad_except(path: Path) -> None:
    """A bug ends the process: what catches everything raises it again, or is one of the few."""
    broad = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    ]
    assert not broad or name_of(path) in BROAD_EXCEPT_ALLOWED, f"lines {broad}"


def catches_everything(handler: ast.ExceptHandler) -> bool:
    kind = handler.type
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    names = {k.id for k in kinds if isinstance(k, ast.Name)}
    broad = kind is None or bool(names & {"Exception", "BaseException"})
    return broad and not raises_again(handler)


def raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


@pytest.mark.parametrize(
    ("code", "broad"),
    [
        ("except: pass", True),
        ("except (OSError, Exception): pass", True),
        ("except OSError: pass", False),
        ("except BaseException: raise", False),
    ],
)
def test_a_broad_except_is_noticed(code: str, broad: bool) -> None:
    """The check itself."""
    handler = next(
        node
        for node in ast.walk(ast.parse(f"try: pass\n{code}"))
        if isinstance(node, ast.ExceptHandler)
    )
    assert catches_everything(handler) is broad


def test_the_runtime_loads_no_training_code() -> None:
    """A fresh interpreter with every runtime module has no torch, transformers, onnx or tools."""
    names = [
        "edge_agent." + name_of(path).removesuffix(".py").replace("/", ".")
        for path in modules()
        if path.name not in ("__init__.py", "__main__.py") and "demo" not in path.parts
    ]
    code = (
        "import importlib, json, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = {name.split(".")[0] for name in json.loads(shown.stdout)}
    assert "onnxruntime" in loaded
    assert loaded & NEVER_AT_RUN_TIME == set()

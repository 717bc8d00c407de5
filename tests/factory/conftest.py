"""The factory is for a workstation: its tests need the extra ``factory-test``."""

from __future__ import annotations

from importlib.util import find_spec

NEEDED = ("torch", "transformers", "onnx", "sklearn", "pycrfsuite", "zstandard", "rich")
collect_ignore_glob = ["test_*.py"] if any(find_spec(name) is None for name in NEEDED) else []

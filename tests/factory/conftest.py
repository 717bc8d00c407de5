"""The factory is for a workstation: its tests need the extra ``factory-test``."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

NEEDED = ("torch", "transformers", "onnx", "sklearn", "pycrfsuite", "zstandard", "rich")
collect_ignore_glob = ["test_*.py"] if any(find_spec(name) is None for name in NEEDED) else []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is marked so, unless it is asked for by its mark."""
    if "parity" in config.option.markexpr:
        return
    heavy = [item for item in items if item.get_closest_marker("parity")]
    config.hook.pytest_deselected(items=heavy)
    items[:] = [item for item in items if item not in heavy]

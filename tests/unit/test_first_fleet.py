"""The Fleet of a start: what is loaded, how often, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.errors import BundleError
from tests.support.tiny_generator import tiny_generator
from tests.unit.site import Site

MakeSite = Callable[..., Site]


def writers(**bundles: Path) -> dict[str, Any]:
    """The tables [specialists.NAME]."""
    return {"specialists": {name: {"bundle": str(path)} for name, path in bundles.items()}}


def test_what_is_wrong_inside_a_writer_is_said_with_its_bundle(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """With several of them, a person must know which one to mend."""
    good = tiny_generator(tmp_path / "good")
    bad = tiny_generator(tmp_path / "bad", output_schema={"type": "text"})
    with pytest.raises(BundleError, match=rf"^bundle {bad}: task\.output_schema: /type is"):
        make_site(**writers(orders=good, summary=bad))

"""Where scores go: a reader that may leave early, a page whose place is tried beforehand."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from tools.errors import ToolError


class Screen(Console):
    """Leaves a reader that went away to ``unheard``, where Console would end the program."""

    def on_broken_pipe(self) -> None:
        """Called while the BrokenPipeError is handled."""
        raise  # noqa: PLE0704


@contextmanager
def unheard() -> Iterator[None]:
    """Goes on in silence once the reader of stdout has gone, as ``| head`` does."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def check_writable(path: Path) -> None:
    """Opens the file as the page will be, and leaves no trace. Raises ToolError."""
    try:
        there = path.exists()
        path.open("ab").close()
        if not there:
            path.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error


def write_page(path: Path, content: str) -> None:
    """Raises ToolError."""
    try:
        path.write_text(content, encoding="utf-8", errors="xmlcharrefreplace")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ToolError:
    fix = "name a file in a folder you may write to, with room in it"
    if path.is_dir():
        fix = f"name a file in it: --html {shlex.quote(str(path / 'report.html'))}"
    elif not path.parent.exists():
        fix = f"mkdir -p {shlex.quote(str(path.parent))}"
    return ToolError(f"--html {path}: cannot be written ({error.strerror})", fix)

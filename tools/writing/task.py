"""The task of a bundle that writes, read from a file of its own."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from edge_agent.manifest import GenerationTask
from tools.errors import ToolError

EXAMPLE = '{"prompt": "…{text}…", "output_schema": {…}, "max_output_tokens": 96}'


def read_task(path: Path) -> GenerationTask:
    """The file's task, checked. ToolError names what is wrong with it."""
    try:
        return GenerationTask.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'the file'}: {item['msg']}"
            for item in error.errors()
        )
        raise ToolError(f"{path}: {problems}", f"write it as in {EXAMPLE}") from error

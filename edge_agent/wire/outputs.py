"""What a specialist wrote, as events and replies carry it. Pure."""

from __future__ import annotations

from edge_agent.types import ModelCard, Output
from edge_agent.wire.schema import ModelData, OutputData, WrittenData


def model_data(card: ModelCard) -> ModelData:
    """Name, version and digest of a bundle."""
    return {"name": card.name, "version": card.version, "digest": card.digest}


def output_data(output: Output) -> OutputData:
    """All of it."""
    data: OutputData = {
        "complete": output.complete,
        "extracts": [
            {"path": one.path, "start": one.start, "end": one.end} for one in output.extracts
        ],
        "input_truncated": output.input_truncated,
        "tokens": output.tokens,
        "model_ms": round(output.model_ms, 2),
        "model": model_data(output.card),
    }
    if not output.complete:
        data["reason"] = output.end.value
    if output.text is not None:
        data["text"] = output.text
    elif output.complete:
        data["value"] = output.value
    return data


def written_data(text: str, output: Output) -> WrittenData:
    """A text and what was written about it: the result of a ``generate`` request."""
    return {"text": text, "output": output_data(output)}


def without_words(data: OutputData) -> None:
    """Leaves where extracted strings stand; what was written stays on the gateway."""
    data.pop("text", None)
    data.pop("value", None)

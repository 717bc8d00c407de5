"""Weights of several graphs in one file beside them, equal ones once.

They become ONNX's external data: any runtime that is given the folder finds them, and maps the file
instead of reading it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import onnx

ALIGNMENT_BYTES = 64
SMALLEST_BYTES = 1024
"""What is smaller stays in the graph."""


def write_graphs(graphs: Mapping[str, onnx.ModelProto], out: Path, weights: str) -> None:
    """Writes the graphs by name into ``out``, and the file ``weights`` there. Empties the graphs.

    Whatever has the same bytes is stored once, whatever its name and shape.
    """
    places: dict[str, int] = {}
    with (out / weights).open("wb") as file:
        for name, model in graphs.items():
            for tensor in model.graph.initializer:
                if len(tensor.raw_data) >= SMALLEST_BYTES:
                    _move(tensor, file, places)
            (out / name).write_bytes(model.SerializeToString())


def _move(tensor: onnx.TensorProto, file: BinaryIO, places: dict[str, int]) -> None:
    """Puts the bytes of ``tensor`` into the file, unless they are there, and says where."""
    data = tensor.raw_data
    digest = hashlib.sha256(data).hexdigest()
    if digest not in places:
        file.write(b"\0" * (-file.tell() % ALIGNMENT_BYTES))
        places[digest] = file.tell()
        file.write(data)
    found = {"location": Path(file.name).name, "offset": places[digest], "length": len(data)}
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in found.items():
        tensor.external_data.add(key=key, value=str(value))

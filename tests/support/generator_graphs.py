"""A generator's graphs on plain onnxruntime, as obvious as can be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Ids = NDArray[np.int64] | list[int]
FOLDER = "session.model_external_initializers_file_folder_path"


@dataclass
class Cache:
    """Buffers of the context's length, the same in and out; ``tokens`` are in them."""

    buffers: dict[str, ort.OrtValue]
    tokens: int = 0


class GeneratorGraphs:
    """The three graphs in ``folder``."""

    def __init__(self, folder: Path, context: int) -> None:
        self.context = context
        self.trunk = session(folder, "model.onnx")
        self.head, self.rows = session(folder, "head.onnx"), session(folder, "rows.onnx")
        self.past = [i for i in self.trunk.get_inputs() if i.name.startswith("past_key_values.")]

    def cache(self) -> Cache:
        """An empty cache, full of what must never be read."""
        buffers = {}
        for item in self.past:
            _, heads, _, size = item.shape
            junk = np.full((1, heads, self.context, size), 1e3, np.float32)
            buffers[item.name] = ort.OrtValue.ortvalue_from_numpy(junk)
        return Cache(buffers)

    def feed(self, cache: Cache, ids: Ids) -> NDArray[np.float32]:
        """Puts the tokens behind those in the cache; the last one's state [1, 1, H]."""
        cache.tokens += len(ids)
        binding = self.trunk.io_binding()
        binding.bind_output("hidden")
        for name, value in lengths(ids, cache.tokens).items():
            binding.bind_cpu_input(name, value)
        for name, buffer in cache.buffers.items():
            binding.bind_ortvalue_input(name, buffer)
            binding.bind_ortvalue_output(present(name), buffer)
        self.trunk.run_with_iobinding(binding)
        return binding.get_outputs()[0].numpy()

    def feed_growing(
        self, past: dict[str, NDArray[np.float32]] | None, ids: Ids
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """The same without buffers: a cache of just the tokens goes in, a longer one comes out."""
        if past is None:
            shapes = {i.name: (1, i.shape[1], 0, i.shape[3]) for i in self.past}
            past = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        total = next(iter(past.values())).shape[2] + len(ids)
        names = ["hidden", *map(present, past)]
        hidden, *grown = self.trunk.run(names, {**lengths(ids, total), **past})
        return hidden, dict(zip(past, grown, strict=True))

    def logits(self, hidden: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of every token: [V]."""
        return self.head.run(None, {"hidden": hidden})[0][0]

    def logits_of(self, hidden: NDArray[np.float32], ids: Ids) -> NDArray[np.float32]:
        """Of some tokens: [K]."""
        return self.rows.run(None, {"hidden": hidden, "row_ids": np.array(ids, np.int64)})[0]

    def every_logits(self, pieces: list[list[int]]) -> NDArray[np.float32]:
        """Logits after each piece of a text: [pieces, V]."""
        cache = self.cache()
        return np.stack([self.logits(self.feed(cache, piece)) for piece in pieces])

    def greedy(self, prompt: list[int], count: int) -> list[int]:
        """The most likely next tokens."""
        cache, found, new = self.cache(), [], prompt
        for _ in range(count):
            found.append(int(self.logits(self.feed(cache, new)).argmax()))
            new = found[-1:]
        return found


def lengths(ids: Ids, total: int) -> dict[str, NDArray[np.int32 | np.int64]]:
    """The inputs besides the cache."""
    return {
        "input_ids": np.array([ids], np.int64),
        "seqlens_k": np.array([total - 1], np.int32),
        "total_sequence_length": np.array(total, np.int32),
    }


def present(past: str) -> str:
    return past.replace("past_key_values", "present")


def session(folder: Path, name: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry(FOLDER, str(folder))
    model = (folder / name).read_bytes()
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

"""A model loaded and run. The only importer of onnxruntime, whose exceptions stop here.

onnxruntime's builds of 2026 report to their maker from Linux too, from the moment of import,
unless the environment forbids it: so it is forbidden first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from edge_agent.errors import BundleError, InferenceFailed
from edge_agent.manifest import MODEL

FOREIGN = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
RUNNING = (*FOREIGN, RuntimeError, ValueError)
"""A run with bindings raises the one, inputs that are missing the other."""
EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"
PAST, PRESENT, HIDDEN = "past_key_values.", "present.", "hidden"
PROVIDERS = ["CPUExecutionProvider"]
OUT_OF_MEMORY = "std::bad_alloc"
"""How C++ calls it; onnxruntime wraps it like any other failure."""
QUIET = 3
"""onnxruntime's level for errors only: its warnings are about graphs, not about this device."""


class Session:
    """One loaded model. ``inputs`` and ``outputs`` are the names its graph declares.

    Weights that the graph keeps outside itself are mapped from files in ``folder``. Errors call the
    graph by ``name``.
    """

    def __init__(
        self, model: bytes, threads: int, folder: Path | None = None, name: str = MODEL
    ) -> None:
        options = _options(threads)
        if folder is not None:
            options.add_session_config_entry(EXTERNAL_FOLDER, str(folder))
        try:
            with _source(model, in_memory=folder is not None) as source:
                self._session = ort.InferenceSession(source, options, providers=PROVIDERS)
        except FOREIGN as error:
            if OUT_OF_MEMORY in str(error):
                raise MemoryError from error
            raise BundleError(
                f"{name} cannot be loaded by onnxruntime {ort.__version__}: {error}",
                "use a bundle made for this runtime, or upgrade onnxruntime",
            ) from error
        self.inputs = frozenset(item.name for item in self._session.get_inputs())
        self.outputs = tuple(item.name for item in self._session.get_outputs())
        self._run_options = ort.RunOptions()
        self._run_options.log_severity_level = QUIET

    @property
    def runtime(self) -> str:
        """What runs the model: the library's version and the provider really used."""
        return f"onnxruntime {ort.__version__}, {self._session.get_providers()[0]}"

    def run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Outputs by name. InferenceFailed when the graph cannot work on these inputs."""
        with _wall():
            results = self._session.run(None, feeds, self._run_options)
        return dict(zip(self.outputs, results, strict=True))


class CachedSession(Session):
    """A causal model whose keys and values live in buffers of ours, updated in place by each run.

    The graph reads ``input_ids`` int64 ``[1, T]``, ``seqlens_k`` int32 ``[1]`` (tokens after this
    run, less one), ``total_sequence_length`` int32 (tokens after this run) and, for each layer,
    ``past_key_values.{i}.key|value`` ``[1, heads, C, width]``; it writes ``hidden`` ``[1, 1, H]``
    of the last token and ``present.{i}.key|value``, which are the same buffers.
    """

    def __init__(
        self, model: bytes, threads: int, context_tokens: int, folder: Path | None = None
    ) -> None:
        super().__init__(model, threads, folder)
        if HIDDEN not in self.outputs:
            raise BundleError(
                f"{MODEL} has no output {HIDDEN}, but {', '.join(self.outputs)}",
                "pack the bundle again: its parts do not belong together",
            )
        self.context_tokens = context_tokens
        self._binding = self._session.io_binding()
        shapes = {item.name: item.shape for item in self._session.get_outputs()}
        self._hidden = _zeros(shapes[HIDDEN])
        self._binding.bind_ortvalue_output(HIDDEN, self._hidden)
        self._caches = []  # a binding does not keep alive the memory that is bound
        for item in self._session.get_inputs():
            if item.name.startswith(PAST):
                cache = _zeros([1, item.shape[1], context_tokens, item.shape[3]])
                self._caches.append(cache)
                self._binding.bind_ortvalue_input(item.name, cache)
                present = item.name.replace(PAST, PRESENT, 1)
                self._binding.bind_ortvalue_output(present, cache)

    def append(self, tokens: Sequence[int], past_tokens: int) -> NDArray[np.float32]:
        """Runs tokens behind the first ``past_tokens``. Hidden state ``[1, 1, H]`` of the last."""
        total = past_tokens + len(tokens)
        self._binding.bind_cpu_input("input_ids", np.array([tokens], np.int64))
        self._binding.bind_cpu_input("seqlens_k", np.array([total - 1], np.int32))
        self._binding.bind_cpu_input("total_sequence_length", np.array(total, np.int32))
        with _wall():
            self._session.run_with_iobinding(self._binding, self._run_options)
        return np.array(self._hidden.numpy(), np.float32)


def _zeros(shape: list[int]) -> Any:
    return ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32))


@contextmanager
def _wall() -> Iterator[None]:
    """What onnxruntime raises while it runs is no concern of the rest."""
    try:
        yield
    except RUNNING as error:
        raise InferenceFailed(
            f"the model failed on this input: {error}",
            "try the text with `edge-agent infer`; pack the bundle again if it fails on all",
        ) from error


@contextmanager
def _source(model: bytes, *, in_memory: bool) -> Iterator[str | bytes]:
    """A path to the bytes, in RAM: given bytes, onnxruntime keeps them for as long as it lives.

    Only given bytes, though, does it take the folder of external weights; such graphs are small.
    """
    if in_memory:
        yield model
        return
    descriptor = os.memfd_create("model.onnx", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(model)
        file.flush()
        yield f"/proc/self/fd/{descriptor}"


def _options(threads: int) -> ort.SessionOptions:
    """Small and steady: no arena that ratchets up with batch shapes, no spinning on idle cores."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = QUIET
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options

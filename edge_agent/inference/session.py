"""A model loaded and run. The only importer of onnxruntime, whose exceptions stop here.

onnxruntime's builds of 2026 report to their maker from Linux too, from the moment of import,
unless the environment forbids it: so it is forbidden first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from edge_agent.errors import BundleError, InferenceFailed

FOREIGN = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
PROVIDERS = ["CPUExecutionProvider"]
QUIET = 3
"""onnxruntime's level for errors only: its warnings are about graphs, not about this device."""


class Session:
    """One loaded model. ``inputs`` and ``outputs`` are the names its graph declares."""

    def __init__(self, model: bytes, threads: int) -> None:
        try:
            with _as_file(model) as path:
                self._session = ort.InferenceSession(path, _options(threads), providers=PROVIDERS)
        except FOREIGN as error:
            raise BundleError(
                f"model.onnx cannot be loaded by onnxruntime {ort.__version__}: {error}",
                "use a bundle made for this runtime, or upgrade onnxruntime",
            ) from error
        self.inputs = frozenset(item.name for item in self._session.get_inputs())
        self.outputs = tuple(item.name for item in self._session.get_outputs())
        self._run_options = ort.RunOptions()
        self._run_options.log_severity_level = QUIET

    def run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Outputs by name. InferenceFailed when the graph cannot work on these inputs."""
        try:
            results = self._session.run(None, feeds, self._run_options)
        except FOREIGN as error:
            raise InferenceFailed(
                f"the model failed on this input: {error}",
                "try the text with `edge-agent infer`; pack the bundle again if it fails on all",
            ) from error
        return dict(zip(self.outputs, results, strict=True))


@contextmanager
def _as_file(model: bytes) -> Iterator[str]:
    """A path to the bytes, in RAM: given bytes, onnxruntime keeps them for as long as it lives."""
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

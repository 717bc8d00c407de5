"""What is measured: programs that hold one sequence and grow it. Each imports its library late."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_agent.bundle import load_bundle
from edge_agent.generator import load_model
from tools.errors import ToolError


class Entrant(Protocol):
    """One program with a model loaded."""

    name: str

    def feed(self, tokens: Sequence[int]) -> None:
        """Appends tokens; what comes next is known afterwards."""

    def next_token(self) -> int:
        """The most probable one."""

    def cut(self, length: int) -> None:
        """Forgets all but the first tokens."""


class Ours:
    """A generator bundle as the agent runs it."""

    name = "edge-agent"

    def __init__(self, folder: Path, threads: int) -> None:
        self.model = load_model(load_bundle(folder), threads)
        self._hidden: NDArray[np.float32] = np.zeros(0, np.float32)

    def feed(self, tokens: Sequence[int]) -> None:
        self._hidden = self.model.feed(tokens)

    def logits(self) -> NDArray[np.float32]:
        """``[V]`` of what comes next."""
        return self.model.logits(self._hidden)

    def next_token(self) -> int:
        return int(self.logits().argmax())

    def cut(self, length: int) -> None:
        self.model.cut(length)


class LlamaCpp:
    """A GGUF file by llama.cpp's own C interface, which has less around it than its Python one.

    Only the last token of a call gets logits. The weights are mapped and packed as by default.
    """

    name = "llama.cpp"

    def __init__(self, file: Path, threads: int, context: int) -> None:
        self._lib = lib = llama_cpp_library()
        self._quiet = lib.llama_log_callback(lambda *_: None)
        lib.llama_log_set(self._quiet, None)
        lib.llama_backend_init()
        model = lib.llama_model_load_from_file(bytes(file), lib.llama_model_default_params())
        if not model:
            raise ToolError(f"llama.cpp cannot load {file}", f"delete {file}, and run again")
        params = lib.llama_context_default_params()
        params.n_ctx, params.n_threads, params.n_threads_batch = context, threads, threads
        self._context = lib.llama_init_from_model(model, params)
        self.vocabulary = lib.llama_model_get_vocab(model)
        self._size = lib.llama_vocab_n_tokens(self.vocabulary)
        self._memory = lib.llama_get_memory(self._context)

    @property
    def system(self) -> str:
        """The instructions that this build uses."""
        return str(self._lib.llama_print_system_info().decode())

    def feed(self, tokens: Sequence[int]) -> None:
        array = (self._lib.llama_token * len(tokens))(*tokens)
        batch = self._lib.llama_batch_get_one(array, len(tokens))
        code = self._lib.llama_decode(self._context, batch)
        if code != 0:
            raise ToolError(f"llama_decode gave {code}", "measure with a larger --context")

    def logits(self) -> NDArray[np.float32]:
        """``[V]`` of what comes next, until the next call."""
        found = self._lib.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(found, (self._size,))

    def next_token(self) -> int:
        return int(self.logits().argmax())

    def cut(self, length: int) -> None:
        self._lib.llama_memory_seq_rm(self._memory, 0, length, -1)

    def grammar(self, schema: str) -> LlamaGrammar:
        """A JSON Schema as llama.cpp enforces it."""
        from llama_cpp.llama_grammar import json_schema_to_gbnf  # noqa: PLC0415

        return LlamaGrammar(self, self._lib, json_schema_to_gbnf(schema).encode())


class LlamaGrammar:
    """One answer under a grammar. First the most probable token is tried, then all of them.

    So does llama.cpp's server: while the model keeps to the grammar by itself, it costs little.
    """

    def __init__(self, entrant: LlamaCpp, lib: Any, rules: bytes) -> None:
        self._lib, self._entrant = lib, entrant
        self._sampler = lib.llama_sampler_init_grammar(entrant.vocabulary, rules, b"root")
        if not self._sampler:
            raise ToolError("llama.cpp cannot read the schema", "measure with a simpler schema")

    def next_token(self) -> int:
        """The most probable one that the grammar permits."""
        logits = self._entrant.logits()
        best = int(logits.argmax())
        if not np.isfinite(self._judged(np.array([best]), logits)[0]):
            best = int(self._judged(np.arange(len(logits)), logits).argmax())
        self._lib.llama_sampler_accept(self._sampler, best)
        return best

    def close(self) -> None:
        self._lib.llama_sampler_free(self._sampler)

    def _judged(self, ids: NDArray[np.int64], logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits of ``ids``, minus infinity where the grammar forbids the token."""
        kind = [("id", np.int32), ("logit", np.float32), ("p", np.float32)]
        rows = np.zeros(len(ids), kind)
        rows["id"], rows["logit"] = ids, logits[ids]
        data = ctypes.cast(rows.ctypes.data, ctypes.POINTER(self._lib.llama_token_data))
        array = self._lib.llama_token_data_array(data, len(rows), -1, False)
        self._lib.llama_sampler_apply(self._sampler, ctypes.byref(array))
        return rows["logit"]


class Genai:
    """A folder of onnxruntime-genai's builder."""

    name = "onnxruntime-genai"

    def __init__(self, folder: Path, threads: int, context: int) -> None:
        library = genai_library()
        config = library.Config(str(folder))
        options = {"intra_op_num_threads": threads, "inter_op_num_threads": 1}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        self._model = library.Model(config)
        params = library.GeneratorParams(self._model)
        params.set_search_options(max_length=context, do_sample=False)
        self._generator = library.Generator(self._model, params)

    def feed(self, tokens: Sequence[int]) -> None:
        self._generator.append_tokens(np.array(tokens, np.int32))

    def next_token(self) -> int:
        return int(self._generator.get_logits().reshape(-1).argmax())

    def cut(self, length: int) -> None:
        self._generator.rewind_to(length)


def llama_cpp_library() -> Any:
    """The package. Raises ToolError where it is missing."""
    try:
        import llama_cpp  # noqa: PLC0415 only to compare with
    except ImportError as error:
        raise ToolError(
            "llama-cpp-python is not installed",
            "pip install llama-cpp-python gguf, built as docs/benchmarks.md says",
        ) from error
    return llama_cpp


def genai_library() -> Any:
    """The package. Raises ToolError where it is missing."""
    try:
        import onnxruntime_genai  # noqa: PLC0415 only to compare with
    except ImportError as error:
        raise ToolError(
            "onnxruntime-genai is not installed",
            "pip install onnxruntime-genai, or leave --genai out",
        ) from error
    return onnxruntime_genai

"""What loading a bundle takes of the memory at its peak, from its manifest alone. Pure.

The factors are measured: the peak of resident memory over that before, of bundles of 2.5 to 170 MB.
tests/test_loading_peak.py measures those that are shipped.
"""

from __future__ import annotations

from edge_agent.bundle import Claim
from edge_agent.inference.output_schema import has_free_text, narrow
from edge_agent.manifest import TOKENIZER, WEIGHTS, GenerationTask, GeneratorShape

ENCODING, PER_BYTE = 15 << 20, 3
"""An encoder's first run, and for each of its bytes: the graph read, parsed and packed."""
WRITING, PER_TOKENIZER_BYTE = 24 << 20, 6
"""The first run of one that writes, and the tokens, which the grammar's library keeps once more."""
WEIGHTS_PER_WORD_BLOCK, WORD_BLOCK = 18, 32
"""Bytes in the file of weights of so many numbers of the word table."""


def peak_bytes(claim: Claim) -> int:
    """What loading a bundle may take at its peak. BundleError when its schema is not supported."""
    sizes = {name: file.size_bytes for name, file in claim.manifest.files.items()}
    shape, task = claim.manifest.generator, claim.manifest.task
    if shape is None or task is None:
        return ENCODING + PER_BYTE * sum(sizes.values())
    tokens = PER_TOKENIZER_BYTE * sizes.pop(TOKENIZER, 0)
    with claim.named():
        weights = _weights(shape, task, sizes.pop(WEIGHTS, 0))
    return WRITING + tokens + weights + sum(sizes.values())


def _weights(shape: GeneratorShape, task: GenerationTask, mapped: int) -> int:
    """Pages of the file that are touched, and as much again that the runtime packs.

    Of the word table only a few rows are touched, unless it is the head of free text.
    """
    if task.output_schema is None or has_free_text(narrow(task.output_schema)):
        return 2 * mapped
    words = shape.vocabulary * shape.hidden * WEIGHTS_PER_WORD_BLOCK // WORD_BLOCK
    return 2 * max(0, mapped - words)

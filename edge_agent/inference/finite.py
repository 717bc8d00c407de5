"""What no JSON can carry: outputs of a model that are no numbers. Pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import InferenceFailed


def require_finite(*outputs: NDArray[np.float32]) -> None:
    """InferenceFailed where a value is infinite or not a number."""
    if not all(np.isfinite(output).all() for output in outputs):
        raise InferenceFailed(
            "the model's output is not finite", "pack the bundle again, or use an older version"
        )

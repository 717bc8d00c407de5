"""Which of the averages that dev judged is taken, and when a training ends early."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.tiny_trainer import Forgetful, tiny_trainer
from tools.learning.recipe import Recipe
from tools.learning.training import Verdict


@pytest.mark.parametrize(
    ("scores", "messages", "judged", "taken"),
    [
        ([0.5, 0.7, 0.8], 1000, 3, 3),
        ([0.5, 0.8, 0.79], 1000, 3, 3),
        ([0.5, 0.8, 0.75], 1000, 3, 2),
        ([0.5, 0.8, 0.75], 20, 3, 3),
        ([0.8, 0.7, 0.7, 0.9], 1000, 3, 1),
        ([0.8, 0.7, 0.79, 0.7, 0.7, 0.9], 1000, 5, 3),
    ],
    ids=["rising", "as good", "worse", "who knows", "over", "over later"],
)
def test_the_last_is_taken_that_is_as_good_as_the_best(
    tmp_path: Path, scores: list[float], messages: int, judged: int, taken: int
) -> None:
    """Within a standard error: which of two such is higher, chance decides."""
    trainer, examples = tiny_trainer(tmp_path, Recipe(quantise=False, patience=2))
    seen: list[torch.Tensor] = []

    def judge(model: torch.nn.Module) -> Verdict:
        seen.append(model.get_parameter("route.weight").detach().clone())
        return Verdict(scores[len(seen) - 1], "", messages)

    trainer.fit([examples] * len(scores), judge, Forgetful())
    assert len(seen) == judged
    kept = trainer.average.get_parameter("route.weight")
    assert [torch.equal(kept, weight) for weight in seen].index(True) == taken - 1

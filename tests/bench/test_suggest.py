"""Which settings are suggested."""

from __future__ import annotations

import pytest

from edge_agent.bench.runs import Figures, Length, Setting
from edge_agent.bench.suggest import Suggestion, suggest

CORES = 4


def results(rates: dict[tuple[Length, int, int], float | None]) -> dict[Setting, Figures | None]:
    """Messages a second by length, batch and threads."""
    return {
        Setting(*key): None if rate is None else Figures(1000 / rate, 1000 / rate, rate, 9, 3)
        for key, rate in rates.items()
    }


def of_threads(*rates: float, length: Length = "medium") -> dict[tuple[Length, int, int], float]:
    """One message a batch with 1, 2, 4 threads."""
    return {(length, 1, n): rate for n, rate in zip((1, 2, 4), rates, strict=False)}


def of_batches(length: Length, *rates: float) -> dict[tuple[Length, int, int], float]:
    """By 1, 4 and 16 on one thread."""
    return {(length, n, 1): rate for n, rate in zip((1, 4, 16), rates, strict=False)}


def found(rates: dict[tuple[Length, int, int], float], cores: int = CORES) -> Suggestion:
    suggestion = suggest(results(dict(rates)), cores)
    assert suggestion is not None
    return suggestion


@pytest.mark.parametrize(
    ("rates", "threads"),
    [((100, 190, 200), 2), ((100, 110, 111), 1), ((100, 111, 112), 2), ((100, 99, 98), 1)],
)
def test_the_fewest_threads_that_are_nearly_the_fastest(
    rates: tuple[float, ...], threads: int
) -> None:
    """A tenth of the rate is not worth a core."""
    assert found(of_threads(*rates), cores=8).threads == threads


def test_a_core_is_left_to_the_rest() -> None:
    """Broker and network need one, however much faster the model would be with all."""
    suggestion = found(of_threads(100, 190, 370))
    assert suggestion.threads == 2
    assert suggestion.threads_why == (
        "medium messages a second: 100 with 1 thread, 190 with 2, 370 with 4; "
        "4 would leave no core to the rest"
    )
    assert found(of_threads(100, 190), cores=1).threads == 1


def test_more_threads_must_help_at_every_length() -> None:
    """Long texts may gain from a second thread where others do not."""
    rates = {**of_threads(100, 101), **of_threads(10, 19, length="long")}
    assert found(rates).threads == 2


def test_the_smallest_batch_that_is_nearly_the_fastest() -> None:
    """A message in a large batch waits for all the others."""
    rates = {**of_batches("short", 50, 92, 100), **of_batches("medium", 29, 30, 31)}
    suggestion = found({**rates, ("long", 1, 1): 9.0})
    assert suggestion.batch == 4
    assert suggestion.batch_why == "short messages a second: 50 one by one, 92 by 4, 100 by 16"


def test_batches_are_chosen_for_the_threads_chosen() -> None:
    """What batches do on other threads does not matter."""
    rates: dict[tuple[Length, int, int], float] = {
        **of_batches("short", 100, 101, 102),
        **of_threads(100, 101),
        ("short", 1, 2): 50,
        ("short", 16, 2): 113,
    }
    assert (found(rates).threads, found(rates).batch) == (1, 1)


def test_threads_are_judged_by_their_best_batch() -> None:
    """Where the caches are small, the largest batch is the slowest."""
    rates: dict[tuple[Length, int, int], float] = {
        **of_threads(100, 105),
        ("medium", 16, 1): 40,
        ("medium", 16, 2): 60,
    }
    assert (found(rates).threads, found(rates).batch) == (1, 1)


def test_bundles_that_write_have_no_batch() -> None:
    """Threads only."""
    assert found(of_threads(1.5, 2.9)).batch is None


def test_nothing_is_suggested_from_half_of_the_figures() -> None:
    """Where time was up before all settings had a turn."""
    assert suggest(results({**of_threads(100, 190), ("long", 1, 1): None}), CORES) is None
    assert suggest({}, CORES) is None

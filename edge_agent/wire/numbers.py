"""The shapes of the numbers in health."""

from __future__ import annotations

from typing_extensions import NotRequired, TypedDict


class HistogramData(TypedDict):
    """``counts[i]`` values were at most ``le[i]``; the last count is that of all."""

    le: list[float]
    counts: list[int]
    sum: float


class SecondsData(TypedDict):
    """Since the start: seconds waited, and seconds the batch ran."""

    queue: HistogramData
    model: HistogramData


class AnswersData(TypedDict):
    """What the model answers. Counts are since the start, rates over ``window`` latest messages.

    Without ``unknown_token_rate`` the tokenizer can spell everything; without ``drift_psi`` the
    bundle has no reference, or the window is too short.
    """

    abstained: int
    tokens: int
    unknown_tokens: int
    confidence: HistogramData
    window: int
    abstention_rate: NotRequired[float]
    unknown_token_rate: NotRequired[float]
    drift_psi: NotRequired[float]


class AgeData(TypedDict):
    """Seconds since the oldest unacknowledged delivery (0 without), the last in, the last out."""

    oldest_unacked: float
    received: NotRequired[float]
    delivered: NotRequired[float]


class HostData(TypedDict):
    """This process and its machine; what the machine does not tell is absent."""

    rss_bytes: int
    cpu_s: float
    temperatures_c: dict[str, float]
    throttled: NotRequired[bool]


class ShadowData(TypedDict):
    """How a shadow agrees with the bundle that answers, over messages both have seen."""

    compared: int
    same_route: int
    same_entities: int
    failed: int
    dropped: int
    model_ms_p50: float
    model_ms_p95: float

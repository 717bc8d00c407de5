"""The vocabulary of the straight path.

Spans are half-open ``[start, end)`` and count Unicode code points of the text they point into.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

JsonObject = dict[str, Any]
TrialMode = Literal["shadow", "canary"]


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another route the model considered, with its calibrated probability."""

    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Route:
    """Who should handle a message.

    When ``abstained``, ``label`` is the out-of-scope name (``other``) and ``confidence`` belongs to
    the best candidate, which stands first in ``alternatives``.
    """

    label: str
    confidence: float
    abstained: bool = False
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True, slots=True)
class Entity:
    """A named span of the text. ``value`` is its normalised form, where it has one."""

    label: str
    text: str
    start: int
    end: int
    confidence: float
    value: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a specialist says of one text. ``route`` is None when its bundle has no routes.

    ``tokens`` counts those of the text itself; ``unknown_tokens`` those among them that the
    tokenizer has no entry for, None when it can spell everything.
    """

    route: Route | None
    entities: tuple[Entity, ...]
    truncated: bool = False
    tokens: int = 0
    unknown_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Extract:
    """Where an extractive string of an output stands in the input. ``path`` is a JSON Pointer."""

    path: str
    start: int
    end: int


class End(str, Enum):
    """Why nothing more is written. Only what is ``COMPLETE`` is whole."""

    COMPLETE = "complete"
    TOKEN_LIMIT = "token-limit"  # noqa: S105 a reason, not a secret
    TIME_LIMIT = "time-limit"
    CANCELLED = "cancelled"
    BUSY = "busy"
    FAILED = "failed"
    POISON = "poison"


@dataclass(frozen=True, slots=True)
class Output:
    """What a generator wrote about one text.

    ``value`` obeys the bundle's schema and is there only when complete; free text is in ``text``,
    also when cut.
    """

    end: End
    card: ModelCard
    value: Any = None
    text: str | None = None
    extracts: tuple[Extract, ...] = ()
    input_truncated: bool = False
    tokens: int = 0
    model_ms: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether it is whole."""
        return self.end is End.COMPLETE


@dataclass(frozen=True, slots=True)
class Delivery:
    """The transport's envelope of one PUBLISH received.

    ``epoch`` counts connections; a packet identifier ``mid`` means something only within one, or
    across several of one session. ``received_s`` is monotonic, ``received_at_s`` Unix time.
    ``repeat`` is counted by the ledger.
    """

    topic: str
    payload: bytes
    qos: int
    mid: int
    epoch: int
    received_s: float
    received_at_s: float
    dup: bool = False
    retain: bool = False
    expiry_s: int | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    content_type: str | None = None
    repeat: int = 0


class Operation(str, Enum):
    """What a message asks for. ``EVENT`` is the main job, the rest are requests."""

    EVENT = "event"
    CLASSIFY = "classify"
    EXTRACT = "extract"
    GENERATE = "generate"
    HEALTH = "health"
    RELOAD = "reload"


@dataclass(frozen=True, slots=True)
class Reply:
    """Where the answer to a request goes, and the marks by which the asker knows it."""

    topic: str | None
    correlation_data: bytes | None = None
    request_id: str | int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """One parsed text to work on. ``index`` counts the messages of one payload from 0.

    ``specialist`` is who is to write about it, by a ``generate`` request.
    """

    id: str
    text: str
    delivery: Delivery
    operation: Operation = Operation.EVENT
    index: int = 0
    reply: Reply | None = None
    specialist: str | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """One PUBLISH to send at QoS 1."""

    topic: str
    payload: bytes
    content_type: str
    retain: bool = False
    correlation_data: bytes | None = None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Names the bundle that answered, in every event."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A prediction, the bundle that made it, and what a specialist wrote besides."""

    prediction: Prediction
    card: ModelCard
    output: Output | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a message waited and how long its batch ran, in milliseconds."""

    queue_ms: float = 0.0
    model_ms: float = 0.0

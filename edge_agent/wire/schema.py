"""The shapes of everything published, as types; the JSON Schemas in the docs come from here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import TypeAdapter
from typing_extensions import NotRequired, TypedDict

from edge_agent.types import JsonObject
from edge_agent.wire.numbers import AgeData, AnswersData, HostData, SecondsData, ShadowData


class AlternativeData(TypedDict):
    """Another route the model considered."""

    label: str
    confidence: float


class RouteData(TypedDict):
    """Who should handle the message; ``other`` when the model abstained."""

    label: str
    confidence: float
    abstained: bool
    alternatives: list[AlternativeData]


class EntityData(TypedDict):
    """A named span: ``text`` equals the message's characters ``[start, end)``."""

    label: str
    text: str
    start: int
    end: int
    confidence: float
    value: NotRequired[JsonObject]


class InputData(TypedDict):
    """Where the message came from; ``index`` counts the messages of one payload."""

    topic: str
    index: int
    received_at: str
    sha256: str


class ModelData(TypedDict):
    """Which bundle answered."""

    name: str
    version: str
    digest: str


class LatencyData(TypedDict):
    """Milliseconds waited, and milliseconds the batch ran."""

    queue: float
    model: float


class ExtractData(TypedDict):
    """Where a string of ``value`` stands in the message; ``path`` is a JSON Pointer into it."""

    path: str
    start: int
    end: int


class OutputData(TypedDict):
    """What a specialist wrote. ``reason`` is there when it is not ``complete``.

    ``value`` obeys the schema of the specialist's bundle and is there only when complete. Free text
    is in ``text``, also when a limit cut it.
    """

    complete: bool
    reason: NotRequired[str]
    value: NotRequired[Any]
    text: NotRequired[str]
    extracts: list[ExtractData]
    input_truncated: bool
    tokens: int
    model_ms: float
    model: ModelData


class ResultData(TypedDict):
    """What is said of one text; also a line of ``edge-agent infer``.

    ``output`` is there where the route has a specialist that writes.
    """

    text: NotRequired[str]
    route: RouteData | None
    entities: list[EntityData]
    truncated: bool
    model: ModelData
    output: NotRequired[OutputData]


class WrittenData(TypedDict):
    """The result of a ``generate`` request, and what ``edge-agent infer`` says of a text then."""

    text: str
    output: OutputData


class EventData(ResultData):
    """``data`` of an event."""

    input: InputData
    latency_ms: LatencyData


class Event(TypedDict):
    """A CloudEvents 1.0 event in JSON format, on ``<prefix>/event/<route>``."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: Literal["edge-agent.event.v1"]
    subject: str
    time: str
    datacontenttype: Literal["application/json"]
    data: EventData


class DeadLetter(TypedDict):
    """A message that could not become an event, on ``<prefix>/error``."""

    id: str
    time: str
    code: str
    stage: str
    retryable: bool
    problem: str
    fix: str
    input: InputData
    payload_base64: NotRequired[str]


class Request(TypedDict):
    """A request's payload in JSON; plain text is the same as ``text`` alone.

    ``specialist`` says who is to write, where several can.
    """

    text: NotRequired[str]
    specialist: NotRequired[str]
    id: NotRequired[str | int]
    reply_to: NotRequired[str]


class ReplyError(TypedDict):
    """Why a request was not answered."""

    code: str
    problem: str
    fix: str
    retryable: bool


class ReplyData(TypedDict):
    """The answer to a request; ``result`` when ``ok``, ``error`` when not."""

    id: str | int | None
    operation: str
    ok: bool
    result: NotRequired[JsonObject]
    error: NotRequired[ReplyError]


class ReloadData(TypedDict):
    """What the latest reload came to. ``before`` is the bundle that answered until then."""

    outcome: Literal["changed", "unchanged", "failed"]
    time: str
    reason: str
    model: ModelData
    before: NotRequired[ModelData]
    problem: NotRequired[str]
    fix: NotRequired[str]


class ChallengerData(TypedDict):
    """The bundle on trial; not ``active`` after the process crashed while it worked."""

    model: ModelData
    mode: Literal["shadow", "canary"]
    share: float
    active: bool


class State(TypedDict):
    """Retained on ``<prefix>/state``: birth, last will, clean stop."""

    state: Literal["online", "offline", "stopped"]
    time: NotRequired[str]
    version: str
    model: NotRequired[ModelData]
    challenger: NotRequired[ChallengerData]
    reload: NotRequired[ReloadData]


class TlsData(TypedDict):
    """Days until each certificate ends, by ``ca`` and ``client``; why new files are not used."""

    expires_in_days: dict[str, float]
    problem: str


class Health(TypedDict):
    """Retained on ``<prefix>/health``, and the answer to a ``health`` request.

    Agents before 0.2 do not say what is not required.
    """

    time: str
    version: str
    uptime_s: float
    model: ModelData
    protocol: str
    ledger: int
    waiting: int
    outbox: int
    counters: dict[str, int]
    routes: dict[str, int]
    latency_ms: dict[str, float]
    latency_s: NotRequired[SecondsData]
    answers: NotRequired[AnswersData]
    age_s: NotRequired[AgeData]
    host: NotRequired[HostData]
    tls: NotRequired[TlsData]
    challenger: NotRequired[ChallengerData]
    shadow: NotRequired[ShadowData]
    reload: NotRequired[ReloadData]


DOCUMENTS: dict[str, Any] = {
    "event": Event,
    "dead-letter": DeadLetter,
    "request": Request,
    "reply": ReplyData,
    "state": State,
    "health": Health,
    "result": ResultData,
    "written": WrittenData,
}


def json_schema(name: str) -> JsonObject:
    """The JSON Schema (2020-12) of one of ``DOCUMENTS``."""
    schema = TypeAdapter(DOCUMENTS[name]).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}

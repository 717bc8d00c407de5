"""Deliveries to messages. Pure: what a payload means depends on its source alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from edge_agent.config import Config
from edge_agent.errors import (
    OversizedMessage,
    RejectedMessage,
    ReplyTopicRefused,
    UndecodableMessage,
    UnknownOperation,
    UnknownSpecialist,
)
from edge_agent.sections import Limits, Source
from edge_agent.topics import is_topic
from edge_agent.types import Delivery, Message, Operation, Reply
from edge_agent.wire.json_text import MAX_TEXT_CHARS, as_text, fill, load, point, render

REQUESTS = {
    operation.value: operation for operation in Operation if operation is not Operation.EVENT
}
MAX_GROWTH = 4
"""The texts of a payload together may be so many times as long as it, or ``MAX_TEXT_CHARS``."""
NEED_NO_TEXT = {Operation.HEALTH, Operation.RELOAD}


@dataclass(frozen=True, slots=True)
class Rejection:
    """A message, or what should have been one, that ends as a dead letter or an error reply."""

    delivery: Delivery
    error: RejectedMessage
    id: str
    index: int = 0
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Names deliveries: the same one redelivered gets the same id.

    A delivery is known by its session, packet identifier, topic and bytes; ``session`` is the name
    we gave the broker's session when it began.
    """

    session: str

    def of(self, delivery: Delivery, index: int = 0) -> str:
        """32 hexadecimal digits. QoS 0 has no packet identifier and is told by arrival time."""
        mark = f"{delivery.mid}.{delivery.repeat}" if delivery.qos else delivery.received_at_s
        head = f"{self.session}\0{mark}\0{index}\0{delivery.topic}\0".encode()
        return hashlib.sha256(head + delivery.payload).hexdigest()[:32]


def parse_event(
    delivery: Delivery, source: Source, limits: Limits, identity: Identity
) -> list[Message | Rejection]:
    """Every message of a payload, in order; what cannot be read becomes a Rejection."""
    try:
        texts = _texts(delivery, source, limits)
    except RejectedMessage as error:
        return [Rejection(delivery, error, identity.of(delivery))]
    parts: list[Message | Rejection] = []
    for index, text in enumerate(texts):
        name = identity.of(delivery, index)
        if isinstance(text, RejectedMessage):
            parts.append(Rejection(delivery, text, name, index))
        else:
            parts.append(Message(name, text, delivery, index=index))
    return parts


def parse_request(delivery: Delivery, config: Config, identity: Identity) -> Message | Rejection:
    """A request; ``id`` and ``reply_to`` inside the payload serve where MQTT 5 is not to be had."""
    reply_prefix, limits = config.reply_prefix, config.limits
    name = identity.of(delivery)
    reply = Reply(delivery.response_topic, delivery.correlation_data)
    try:
        body = _request_body(delivery, limits)
        topic = delivery.response_topic or _string(body, "reply_to")
        reply = Reply(topic, delivery.correlation_data)
        _check_reply_topic(topic, reply_prefix)
        reply = replace(reply, request_id=_request_id(body))
        operation = _operation(delivery.topic)
        text = without_surrogates(_string(body, "text") or "")
        specialist = _specialist(body, config) if operation is Operation.GENERATE else None
        if operation not in NEED_NO_TEXT and not text.strip():
            raise UndecodableMessage(
                "the request has no text", 'send the text itself, or JSON {"text": "…"}'
            )
    except ReplyTopicRefused as error:
        return Rejection(delivery, error, name)
    except RejectedMessage as error:
        allowed = _allowed(reply.topic, reply_prefix)
        return Rejection(delivery, error, name, reply=reply if allowed else None)
    return Message(name, text, delivery, operation, reply=reply, specialist=specialist)


def _texts(delivery: Delivery, source: Source, limits: Limits) -> list[str | RejectedMessage]:
    raw = _decoded(delivery, limits)
    if source.format == "text" or not _means_json(raw, source):
        return [raw]
    values = _values(raw, limits)
    if not values:
        raise UndecodableMessage("the JSON array is empty", "send at least one message in it")
    if len(values) > limits.max_items:
        raise OversizedMessage(
            f"the payload holds {len(values)} messages, more than {limits.max_items}",
            "split it, or raise limits.max_items",
        )
    return _within(values, source, max(MAX_TEXT_CHARS, MAX_GROWTH * len(raw)))


def _within(values: list[Any], source: Source, max_chars: int) -> list[str | RejectedMessage]:
    """The texts of a payload until together they are too long; the rest is not even written."""
    texts: list[str | RejectedMessage] = []
    chars = 0
    for value in values:
        text = _text_or_rejection(value, source) if chars <= max_chars else _too_long(max_chars)
        chars += len(text) if isinstance(text, str) else 0
        texts.append(text)
    return texts


def _too_long(max_chars: int) -> OversizedMessage:
    return OversizedMessage(
        f"the messages before this one have more than {max_chars} characters as text",
        "split the payload, send shorter keys or fewer levels, or set the source's field",
    )


def _decoded(delivery: Delivery, limits: Limits) -> str:
    size = len(delivery.payload)
    if size > limits.max_payload_bytes:
        raise OversizedMessage(
            f"the payload has {size} bytes, more than {limits.max_payload_bytes}",
            "send less, or raise limits.max_payload_bytes",
        )
    try:
        raw = delivery.payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UndecodableMessage(
            f"the payload is not UTF-8 (byte 0x{error.object[error.start]:02x} at {error.start})",
            "encode the text as UTF-8",
        ) from error
    if not raw.strip():
        raise UndecodableMessage("the payload is empty", "send text, or JSON that holds text")
    return raw


def _means_json(raw: str, source: Source) -> bool:
    """Whether a payload is meant as JSON: said by the source, or by how it begins.

    ``{"`` and ``[{`` begin JSON and must then be whole; ``{device: 4`` and ``[12.3] usb`` are text.
    """
    if source.format == "json" or source.field is not None or source.template is not None:
        return True
    start = "".join(raw[:64].split())[:2]
    return start in {'{"', "{}", "[{", '["', "[]"}


def _values(raw: str, limits: Limits) -> list[Any]:
    """The values of an array, of NDJSON, or the one value; a broken NDJSON line is an error."""
    lines = [line for line in raw.split("\n") if line.strip()]
    if len(lines) > 1 and _is_ndjson(lines[0]):
        return [_load_or_error(line, limits) for line in lines]
    value = load(raw, limits.max_depth)
    return value if isinstance(value, list) else [value]


def _is_ndjson(first_line: str) -> bool:
    """Whether the first line is whole by itself; in a pretty-printed document it is not."""
    if first_line.rstrip()[-1:] not in {"}", "]", '"'}:
        return False
    try:
        json.loads(first_line)
    except (ValueError, RecursionError):
        return False
    return True


def _load_or_error(line: str, limits: Limits) -> Any:
    try:
        return load(line, limits.max_depth)
    except RejectedMessage as error:
        return error


def _text_or_rejection(value: Any, source: Source) -> str | RejectedMessage:
    if isinstance(value, RejectedMessage):
        return value
    try:
        text = _text_of(value, source)
    except RejectedMessage as error:
        return error
    if not text.strip():
        return UndecodableMessage("the message is empty", "send text in it")
    return without_surrogates(text)


def without_surrogates(text: str) -> str:
    """JSON can escape half of a surrogate pair; no tokenizer and no UTF-8 can carry it."""
    return text.encode("utf-8", "replace").decode()


def _text_of(value: Any, source: Source) -> str:
    if source.field is not None:
        return as_text(point(value, source.field))
    if source.template is not None:
        return fill(source.template, value)
    return render(value) if isinstance(value, dict) else as_text(value)


def _request_body(delivery: Delivery, limits: Limits) -> dict[str, Any]:
    if not delivery.payload and delivery.topic.rpartition("/")[2] in NEED_NO_TEXT:
        return {}
    raw = _decoded(delivery, limits)
    if not raw.lstrip().startswith("{"):
        return {"text": raw}
    body = load(raw, limits.max_depth)
    return body if isinstance(body, dict) else {"text": raw}


def _string(body: dict[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise UndecodableMessage(
            f"{key!r} in the request is no string", f"send {key!r} as a string"
        )
    return value


def _request_id(body: dict[str, Any]) -> str | int | None:
    value = body.get("id")
    if isinstance(value, bool) or not isinstance(value, (str, int, type(None))):
        raise UndecodableMessage("'id' in the request is no string or number", "send a plain id")
    return value


def _operation(topic: str) -> Operation:
    name = topic.rpartition("/")[2]
    if name not in REQUESTS:
        raise UnknownOperation(
            f"no operation {name[:64]!r}", f"use one of {', '.join(sorted(REQUESTS))}"
        )
    return REQUESTS[name]


def _specialist(body: dict[str, Any], config: Config) -> str:
    """Who is to write: the one named, or the only one."""
    name, known = _string(body, "specialist"), sorted(config.specialists)
    if name is None and len(known) == 1:
        return known[0]
    if name not in config.specialists:
        said = f"no specialist {name[:64]!r}" if name else "the request names no specialist"
        one_of = f"'specialist' in the request: one of {', '.join(known)}"
        fix = one_of if known else "a table [specialists.NAME] with its bundle"
        raise UnknownSpecialist(said, f"set {fix}")
    return name


def _check_reply_topic(topic: str | None, prefix: str) -> None:
    if not _allowed(topic, prefix):
        said = "missing" if topic is None else f"{topic[:128]!r}"
        raise ReplyTopicRefused(
            f"the reply topic is {said}; it must lie below {prefix}/",
            f"set Response Topic (MQTT 5), or reply_to in the payload, to {prefix}/<your name>",
        )


def _allowed(topic: str | None, prefix: str) -> bool:
    return topic is not None and topic.startswith(f"{prefix}/") and is_topic(topic)

"""Results to publications: CloudEvents, dead letters, replies, state and health. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from edge_agent import __version__
from edge_agent.types import (
    Answer,
    Delivery,
    Entity,
    JsonObject,
    Message,
    ModelCard,
    Operation,
    Prediction,
    Publication,
    Route,
    Timing,
)
from edge_agent.wire.inbound import Rejection
from edge_agent.wire.outputs import model_data, output_data, without_words, written_data
from edge_agent.wire.schema import (
    DeadLetter,
    EntityData,
    Event,
    EventData,
    InputData,
    ReplyData,
    ResultData,
    RouteData,
    State,
)

JSON = "application/json"
CLOUDEVENT = "application/cloudevents+json"
NO_ROUTE = "none"
"""Topic level of events whose bundle has no routes."""


@dataclass(frozen=True)
class Writer:
    """Writes everything the agent says, below one topic prefix."""

    prefix: str
    text: str = "full"
    dead_letter_payload: bool = False

    def event(self, message: Message, answer: Answer, timing: Timing) -> Publication:
        """The CloudEvent of one message, on ``<prefix>/event/<route>``."""
        delivery, prediction = message.delivery, answer.prediction
        data: EventData = {
            **result_data(message.text, prediction, answer.card),
            "input": _input_data(delivery, message.index),
            "latency_ms": {
                "queue": round(timing.queue_ms, 2),
                "model": round(timing.model_ms, 2),
            },
        }
        if answer.output is not None:
            data["output"] = output_data(answer.output)
        if self.text == "digest":
            _strip_text(data)
        event: Event = {
            "specversion": "1.0",
            "id": message.id,
            "source": self.prefix,
            "type": "edge-agent.event.v1",
            "subject": delivery.topic,
            "time": iso_time(delivery.received_at_s),
            "datacontenttype": "application/json",
            "data": data,
        }
        label = prediction.route.label if prediction.route else NO_ROUTE
        return Publication(f"{self.prefix}/event/{label}", to_json(event), CLOUDEVENT)

    def rejection(self, rejected: Rejection) -> Publication:
        """The error reply where the asker can be reached, else the dead letter."""
        if rejected.reply is None or rejected.reply.topic is None:
            return self._dead_letter(rejected)
        error = rejected.error
        body: ReplyData = {
            "id": rejected.reply.request_id,
            "operation": rejected.delivery.topic.rpartition("/")[2],
            "ok": False,
            "error": {
                "code": error.code,
                "problem": error.problem,
                "fix": error.fix,
                "retryable": error.retryable,
            },
        }
        correlation = rejected.reply.correlation_data
        topic = rejected.reply.topic
        return Publication(topic, to_json(body), JSON, correlation_data=correlation)

    def answer(self, message: Message, result: JsonObject) -> Publication:
        """The reply to a request."""
        reply = message.reply
        if reply is None or reply.topic is None:
            raise ValueError(f"message {message.id} is no request")
        body: ReplyData = {
            "id": reply.request_id,
            "operation": message.operation.value,
            "ok": True,
            "result": result,
        }
        return Publication(
            reply.topic, to_json(body), JSON, correlation_data=reply.correlation_data
        )

    def answer_prediction(self, message: Message, answer: Answer) -> Publication:
        """The reply to ``classify`` (the route alone) or ``extract`` (the entities alone)."""
        result: JsonObject = {**result_data(message.text, answer.prediction, answer.card)}
        del result["entities" if message.operation is Operation.CLASSIFY else "route"]
        return self.answer(message, result)

    def answer_output(self, message: Message, answer: Answer) -> Publication:
        """The reply to ``generate``."""
        if answer.output is None:
            raise ValueError(f"nothing was written about message {message.id}")
        return self.answer(message, {**written_data(message.text, answer.output)})

    def state(self, state: State) -> Publication:
        """Retained birth, last will or farewell."""
        return Publication(f"{self.prefix}/state", to_json(state), JSON, retain=True)

    def health(self, health: JsonObject) -> Publication:
        """Retained health."""
        return Publication(f"{self.prefix}/health", to_json(health), JSON, retain=True)

    def _dead_letter(self, rejected: Rejection) -> Publication:
        error, delivery = rejected.error, rejected.delivery
        letter: DeadLetter = {
            "id": rejected.id,
            "time": iso_time(delivery.received_at_s),
            "code": error.code,
            "stage": error.stage,
            "retryable": error.retryable,
            "problem": error.problem,
            "fix": error.fix,
            "input": _input_data(delivery, rejected.index),
        }
        if self.dead_letter_payload:
            letter["payload_base64"] = base64.b64encode(delivery.payload).decode()
        return Publication(f"{self.prefix}/error", to_json(letter), JSON)


def result_data(text: str, prediction: Prediction, card: ModelCard) -> ResultData:
    """What is said of one text: the core of an event, and a line of ``edge-agent infer``."""
    return {
        "text": text,
        "route": _route_data(prediction.route) if prediction.route else None,
        "entities": [_entity_data(entity) for entity in prediction.entities],
        "truncated": prediction.truncated,
        "model": model_data(card),
    }


def state_data(state: str, card: ModelCard | None = None, now_s: float | None = None) -> State:
    """``online`` and ``stopped`` carry a time; the last will, written beforehand, cannot."""
    data: dict[str, Any] = {"state": state, "version": __version__}
    if now_s is not None:
        data["time"] = iso_time(now_s)
    if card is not None:
        data["model"] = model_data(card)
    return data  # type: ignore[return-value]


def iso_time(unix_s: float) -> str:
    """Unix time as RFC 3339 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(unix_s, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_json(value: Any) -> bytes:
    """Compact UTF-8; a lone surrogate, which UTF-8 cannot carry, is escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def _route_data(route: Route) -> RouteData:
    return {
        "label": route.label,
        "confidence": route.confidence,
        "abstained": route.abstained,
        "alternatives": [
            {"label": other.label, "confidence": other.confidence} for other in route.alternatives
        ],
    }


def _entity_data(entity: Entity) -> EntityData:
    data: EntityData = {
        "label": entity.label,
        "text": entity.text,
        "start": entity.start,
        "end": entity.end,
        "confidence": entity.confidence,
    }
    if entity.value is not None:
        data["value"] = entity.value
    return data


def _input_data(delivery: Delivery, index: int) -> InputData:
    return {
        "topic": delivery.topic,
        "index": index,
        "received_at": iso_time(delivery.received_at_s),
        "sha256": hashlib.sha256(delivery.payload).hexdigest(),
    }


def _strip_text(data: EventData) -> None:
    """Leaves offsets and labels; the text itself stays on the gateway."""
    del data["text"]
    for entity in data["entities"]:
        entity["text"] = ""
        entity.pop("value", None)
    if "output" in data:
        without_words(data["output"])

"""The MQTT contract as an AsyncAPI 3.0 document, generated from the schemas' types."""

from __future__ import annotations

from pydantic import TypeAdapter

from edge_agent import __version__
from edge_agent.types import JsonObject
from edge_agent.wire.schema import DOCUMENTS

CHANNELS: dict[str, tuple[str, str, str]] = {
    "event": ("edge/{gateway}/event/{route}", "send", "event"),
    "error": ("edge/{gateway}/error", "send", "dead-letter"),
    "state": ("edge/{gateway}/state", "send", "state"),
    "health": ("edge/{gateway}/health", "send", "health"),
    "reply": ("edge/{gateway}/reply/{asker}", "send", "reply"),
    "request": ("edge/{gateway}/request/{operation}", "receive", "request"),
}
"""Channel: topic, what the agent does there, schema."""
REFERENCE = "#/components/schemas/{model}"


def asyncapi() -> JsonObject:
    """The document. Site topics are not in it: the configuration names them."""
    schemas: JsonObject = {}
    messages: JsonObject = {}
    for name, (_, _, document) in CHANNELS.items():
        schema = TypeAdapter(DOCUMENTS[document]).json_schema(ref_template=REFERENCE)
        schemas |= schema.pop("$defs", {})
        messages[name] = {"contentType": _content_type(name), "payload": schema}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "edge-agent",
            "version": __version__,
            "license": {"name": "Apache-2.0"},
            "description": "Events, dead letters, requests and replies of one gateway's agent.",
        },
        "channels": {name: _channel(name, topic) for name, (topic, _, _) in CHANNELS.items()},
        "operations": {
            f"{action}_{name}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{name}"},
                "bindings": {"mqtt": {"qos": 1, "retain": name in {"state", "health"}}},
            }
            for name, (_, action, _) in CHANNELS.items()
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _channel(name: str, topic: str) -> JsonObject:
    parameters = [part[1:-1] for part in topic.split("/") if part.startswith("{")]
    return {
        "address": topic,
        "parameters": {parameter: {} for parameter in parameters},
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _content_type(name: str) -> str:
    return "application/cloudevents+json" if name == "event" else "application/json"

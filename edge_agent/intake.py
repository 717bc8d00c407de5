"""What a delivery asks for, by its topic. Pure."""

from __future__ import annotations

from edge_agent.config import Config
from edge_agent.sections import Source
from edge_agent.topics import matches
from edge_agent.types import Delivery, Message
from edge_agent.wire.inbound import Identity, Rejection, parse_event, parse_request


def messages_of(
    delivery: Delivery, config: Config, identity: Identity
) -> list[Message | Rejection] | str:
    """The messages of a delivery; or why it is ignored, as a counter's name."""
    source = source_of(delivery.topic, config)
    if delivery.retain and not (source and source.retained):
        return "ignored_retained"
    if matches(config.request_filter, delivery.topic):
        return [parse_request(delivery, config, identity)]
    if source is None:
        return "ignored_unknown_topic"
    return parse_event(delivery, source, config.limits, identity)


def source_of(topic: str, config: Config) -> Source | None:
    """The first source whose filter fits."""
    return next((source for source in config.source if matches(source.filter, topic)), None)

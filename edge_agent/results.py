"""What becomes of each message: an event, a reply or a rejection, and never nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_agent.acks import Entry
from edge_agent.errors import OversizedMessage, RejectedMessage
from edge_agent.log import LOGGER
from edge_agent.metrics import Metrics
from edge_agent.outbox import Outbox
from edge_agent.runner import Result
from edge_agent.types import JsonObject, Message, Operation, Publication, Timing
from edge_agent.wire.inbound import Rejection
from edge_agent.wire.outbound import Writer

PACKET_OVERHEAD_BYTES = 256
"""Room for the header and properties of a PUBLISH."""


@dataclass
class Results:
    """Writes results into the outbox; ``max_packet_bytes`` is what the broker said it takes."""

    writer: Writer
    outbox: Outbox
    metrics: Metrics
    max_packet_bytes: int | None = None

    def conclude(self, message: Message, result: Result, timing: Timing, entry: Entry) -> None:
        """Every message that was to see the model ends here."""
        if isinstance(result, RejectedMessage):
            self.reject(_rejection(message, result), entry)
        elif message.operation is Operation.GENERATE:
            self.metrics.count("requests")
            self._add(self.writer.answer_output(message, result), message, entry)
        elif message.operation is not Operation.EVENT:
            self.metrics.count("requests")
            self._add(self.writer.answer_prediction(message, result), message, entry)
        else:
            self.metrics.handled(result.prediction, timing, result.card.digest)
            self._add(self.writer.event(message, result, timing), message, entry)

    def reply(self, message: Message, result: JsonObject, entry: Entry) -> None:
        """The answer to a request that needs no model."""
        self._add(self.writer.answer(message, result), message, entry)

    def say(self, publication: Publication) -> None:
        """Something of our own; nothing when it would cost the connection."""
        if self._fits(publication):
            self.outbox.add(publication)
        else:
            error = self._oversized(publication)
            LOGGER("edge_agent").warning("not said", topic=publication.topic, **error.fields)

    def reject(self, rejected: Rejection, entry: Entry) -> None:
        """An error reply or a dead letter; the log names the topic, never the payload."""
        error = rejected.error
        self.metrics.count(f"rejected_{error.code}")
        topic = rejected.delivery.topic
        LOGGER("edge_agent").warning("rejected", code=error.code, topic=topic, **error.fields)
        writer = self._bare if entry.rejected else self.writer
        entry.rejected = True
        self.outbox.add(self._fitting(writer.rejection(rejected), rejected), entry)

    @property
    def _bare(self) -> Writer:
        """Without payloads. A thousand bad items of one payload would carry it a thousand times."""
        return replace(self.writer, dead_letter_payload=False)

    def _fitting(self, wanted: Publication, rejected: Rejection) -> Publication:
        """As asked for, or else the bare dead letter, which fits wherever its message did."""
        if self._fits(wanted):
            return wanted
        return self._bare.rejection(replace(rejected, reply=None))

    def _fits(self, publication: Publication) -> bool:
        return self.max_packet_bytes is None or _size(publication) <= self.max_packet_bytes

    def _add(self, publication: Publication, message: Message, entry: Entry) -> None:
        if self._fits(publication):
            self.outbox.add(publication, entry)
            return
        less = ', or set output.text = "digest"' if message.operation is Operation.EVENT else ""
        self.reject(_rejection(message, self._oversized(publication, less)), entry)

    def _oversized(self, publication: Publication, less: str = "") -> OversizedMessage:
        return OversizedMessage(
            f"the result has {_size(publication)} bytes, the broker takes {self.max_packet_bytes}",
            f"raise max_packet_size in the broker{less}",
        )


def _size(publication: Publication) -> int:
    parts = (publication.payload, publication.topic.encode(), publication.correlation_data or b"")
    return sum(len(part) for part in parts) + PACKET_OVERHEAD_BYTES


def _rejection(message: Message, error: RejectedMessage) -> Rejection:
    return Rejection(message.delivery, error, message.id, message.index, message.reply)

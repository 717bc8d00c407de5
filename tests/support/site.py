"""A broker, an agent at work on it, and a client that sees all the agent says."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any

from tests.support.agent_process import AgentProcess
from tests.support.broker import Broker
from tests.support.mqtt_client import MqttClient, Received
from tests.support.waiting import PATIENCE_S, wait_until

NUMBERS = itertools.count(1)


def unique_topic(branch: str = "site") -> str:
    """A topic no other test uses: results are known by it."""
    return f"{branch}/{next(NUMBERS)}"


def input_of(message: Received) -> dict[str, Any] | None:
    """The ``input`` of an event or dead letter, None for what else the agent says."""
    if "/event/" not in message.topic and not message.topic.endswith("/error"):
        return None
    body = message.json
    found: dict[str, Any] = body.get("data", body)["input"]
    return found


@dataclass(frozen=True)
class Site:
    """See the module. ``client`` must have subscribed ``edge/#``."""

    broker: Broker
    agent: AgentProcess
    client: MqttClient
    gateway: str = "t"

    def send(self, topic: str, payload: bytes | str, **more: Any) -> None:
        """Publishes at QoS 1; the broker has it on return."""
        reason = self.client.publish(topic, payload, **more)
        assert reason == "Success", f"{topic}: {reason}"

    def results(self, topic: str, count: int = 1, timeout_s: float = PATIENCE_S) -> list[Received]:
        """The first ``count`` events and dead letters about messages on ``topic``, in order."""

        def found() -> list[Received]:
            return [m for m in self.client.received if (input_of(m) or {}).get("topic") == topic]

        what = f"{count} results about {topic}; the agent said:\n{self.agent.stderr[-3000:]}"
        self.client.wait(lambda: len(found()) >= count, timeout_s, what)
        return found()

    def outcome(self, topic: str, payload: bytes | str, **more: Any) -> Received:
        """Publishes, and gives the one result."""
        self.send(topic, payload, **more)
        return self.results(topic)[0]

    def dead_letter(self, topic: str, payload: bytes | str, **more: Any) -> dict[str, Any]:
        """Publishes, and gives the dead letter it ends as."""
        result = self.outcome(topic, payload, **more)
        assert result.topic == f"edge/{self.gateway}/error", result
        letter: dict[str, Any] = result.json
        return letter

    def event(self, topic: str, payload: bytes | str, **more: Any) -> dict[str, Any]:
        """Publishes, and gives the data of its event."""
        result = self.outcome(topic, payload, **more)
        assert "/event/" in result.topic, result.payload[:500]
        data: dict[str, Any] = result.json["data"]
        return data

    def request(self, operation: str, payload: bytes | str = b"", qos: int = 1) -> dict[str, Any]:
        """Asks with Response Topic and Correlation Data, and gives the reply."""
        mark = f"ask-{next(NUMBERS)}".encode()
        self.client.send(
            f"edge/{self.gateway}/request/{operation}",
            payload,
            qos=qos,
            ResponseTopic=f"edge/{self.gateway}/reply/test",
            CorrelationData=mark,
        )
        answer = self.client.wait_for(
            lambda m: "/reply/" in m.topic and m.properties.get("CorrelationData") == mark,
            PATIENCE_S,
            f"a reply to {mark!r}",
        )
        reply: dict[str, Any] = answer.json
        return reply

    def health(self) -> dict[str, Any]:
        """What the agent says of itself, now. Asked in the way of MQTT 3.1.1, which all know."""
        reply_to = f"edge/{self.gateway}/reply/health-{next(NUMBERS)}"
        body = json.dumps({"reply_to": reply_to})
        self.client.publish(f"edge/{self.gateway}/request/health", body, qos=0)
        reply = self.client.wait_for_topic(reply_to, PATIENCE_S).json
        result: dict[str, Any] = reply["result"]
        return result

    def counter(self, name: str) -> int:
        """One of health's counters, 0 when nothing was counted."""
        return int(self.health()["counters"].get(name, 0))

    def require_well(self) -> None:
        """The agent lives, the next good message gives its event, and nothing is left unacked."""
        assert self.event(unique_topic(), "pump 7 is leaking")["route"]["label"] == "fault"
        assert self.agent.process.poll() is None, self.agent.stderr
        wait_until(lambda: self.health()["ledger"] == 0, PATIENCE_S, "an empty ledger")

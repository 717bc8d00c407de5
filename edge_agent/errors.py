"""The errors, by who must act.

::

    AgentError(problem, fix)
    ├─ SetupError        a person must act: exit 78
    │  ├─ ConfigError       the configuration file, environment or flags
    │  ├─ BundleError       a bundle on disk
    │  └─ BrokerRefused     credentials, permissions, topics
    ├─ RejectedMessage   the message is at fault: dead letter, then ack
    │  ├─ UndecodableMessage  OversizedMessage  ExpiredMessage
    │  ├─ PoisonMessage  InferenceFailed
    │  ├─ UnknownOperation  UnknownSpecialist  OperationDisabled
    │  └─ ReplyTopicRefused  ReloadFailed
    └─ Unavailable       the world is at fault: wait with jitter, retry
       └─ BrokerUnavailable
          └─ SessionTakenOver

Anything else is a bug: the process ends, systemd starts it again, unacknowledged deliveries return.
"""

from __future__ import annotations

EXIT_SETUP = 78
"""EX_CONFIG of sysexits.h: restarting cannot help, a person must act."""


class AgentError(Exception):
    """``problem`` names the thing; ``fix`` is a command or an edit."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix

    @property
    def fields(self) -> dict[str, str]:
        """For the log."""
        return {"problem": self.problem, "fix": self.fix}


class SetupError(AgentError):
    """A person must act."""


class ConfigError(SetupError):
    """The configuration cannot be used."""


class BundleError(SetupError):
    """A bundle cannot be used."""


class BrokerRefused(SetupError):
    """The broker is there and says no: credentials, permissions, topics."""


class RejectedMessage(AgentError):
    """The message is at fault. ``code`` and ``stage`` go into its dead letter."""

    code = "rejected"
    stage = "parse"
    retryable = False


class UndecodableMessage(RejectedMessage):
    """Bytes or structure that cannot be read as the source says."""

    code = "undecodable"


class OversizedMessage(RejectedMessage):
    """More bytes or more messages in one payload than configured."""

    code = "oversized"


class ExpiredMessage(RejectedMessage):
    """Its MQTT 5 expiry, or our deadline, passed before it was worked on."""

    code = "expired"
    stage = "queue"
    retryable = True


class PoisonMessage(RejectedMessage):
    """It was being worked on when the process crashed, twice."""

    code = "poison"
    stage = "model"


class InferenceFailed(RejectedMessage):
    """The model's run raised an error on it, also when it ran alone."""

    code = "inference-failed"
    stage = "model"


class UnknownOperation(RejectedMessage):
    """A request for something this agent does not do."""

    code = "unknown-operation"
    stage = "request"


class UnknownSpecialist(RejectedMessage):
    """A ``generate`` request for a specialist that is not configured, or for none of several."""

    code = "unknown-specialist"
    stage = "request"


class OperationDisabled(RejectedMessage):
    """A request for something that the configuration does not permit."""

    code = "operation-disabled"
    stage = "request"


class ReloadFailed(RejectedMessage):
    """The answer to a ``reload`` request when the bundle in place stays."""

    code = "reload-failed"
    stage = "request"
    retryable = True


class ReplyTopicRefused(RejectedMessage):
    """A request whose reply topic is missing or lies outside the permitted prefix."""

    code = "reply-topic-refused"
    stage = "request"


class Unavailable(AgentError):
    """The world is at fault: wait with jitter, retry."""


class BrokerUnavailable(Unavailable):
    """No connection to the broker, or it stopped answering."""


class SessionTakenOver(BrokerUnavailable):
    """Another client of our name took our place at the broker."""

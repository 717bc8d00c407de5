"""The tables of the configuration, with limits and defaults. Reads nothing."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from edge_agent.topics import is_filter, is_topic


def _filter(value: str) -> str:
    if not is_filter(value):
        raise ValueError(
            f"{value!r} is no MQTT topic filter: + and # fill whole levels, # is last, shared ones "
            "are $share/GROUP/FILTER, and no character is a control character"
        )
    return value


def _topic(value: str) -> str:
    if not is_topic(value) or value != value.strip("/"):
        raise ValueError(f"{value!r} is no topic prefix: no + or #, no / at an end, not empty")
    return value


Filter = Annotated[str, AfterValidator(_filter)]
TopicPrefix = Annotated[str, AfterValidator(_topic)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


def _own_name() -> str:
    return socket.gethostname().partition(".")[0] or "gateway"


class Section(BaseModel):
    """One table of the file. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Gateway(Section):
    """Who we are; part of every topic and of every event's source."""

    id: Name = Field(default_factory=_own_name)


class Tls(Section):
    """Encryption towards the broker; a client certificate where the broker asks for one."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    watch_s: float = Field(60, ge=1)

    @model_validator(mode="after")
    def _pair(self) -> Tls:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        return self


class Mqtt(Section):
    """The broker, and the session with it."""

    host: str = Field("localhost", min_length=1)
    port: int = Field(1883, ge=1, le=65535)
    client_id: str | None = Field(None, min_length=1, max_length=128)
    username: str | None = None
    password_file: Path | None = None
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    tls: Tls | None = None
    keepalive_s: int = Field(30, ge=5, le=3600)
    session_expiry_s: int = Field(7 * 86400, ge=60, le=0xFFFFFFFF)
    receive_maximum: int = Field(32, ge=2, le=65535)
    connect_timeout_s: float = Field(10, gt=0)
    puback_timeout_s: float = Field(20, gt=0)
    max_reconnect_wait_s: float = Field(30, gt=0)


class Source(Section):
    """Topics to read, and how their payloads become text.

    ``field`` is a JSON Pointer to the text; ``template`` builds it from fields, as in
    ``"{device.name}: {message}"``.
    """

    filter: Filter
    format: Literal["auto", "text", "json"] = "auto"
    field: str | None = Field(None, pattern=r"^(/.*)?$")
    template: str | None = Field(None, min_length=1)
    retained: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Source:
        if self.field is not None and self.template is not None:
            raise ValueError("field and template exclude each other")
        if self.format == "text" and (self.field is not None or self.template is not None):
            raise ValueError('field and template need format "json" or "auto"')
        return self


class Model(Section):
    """The bundle, and the threads it may use (default: half of the cores).

    With ``public_key_file`` (PEM, one Ed25519 key or several), only bundles signed by one of its
    keys are used.
    """

    bundle: Path | None = None
    public_key_file: Path | None = None
    threads: int | None = Field(None, ge=1, le=64)


class Specialist(Section):
    """A bundle that writes: work orders, summaries. Its name is the table's."""

    bundle: Path


class Stage(Section):
    """What becomes of the messages of one route: a second specialist writes about each."""

    specialist: Name


class Generate(Section):
    """How specialists that write share the processor with the messages that wait.

    One text is written at a time, ``slice_ms`` of it between two batches. A message whose text is
    not written after ``max_wait_ms`` goes out without; of more than ``max_waiting_messages`` the
    newest go out without at once.
    """

    slice_ms: int = Field(50, ge=1, le=1000)
    max_wait_ms: int = Field(10_000, ge=1, le=600_000)
    max_waiting_messages: int = Field(64, ge=1, le=10_000)


class Challenger(Section):
    """A second bundle on trial: it answers a share of the messages, or only looks at it.

    ``canary``: the share (0 to 1) is answered by it. ``shadow``: the bundle of ``[model]`` answers
    all; health says how far both agree on the share.
    """

    bundle: Path
    mode: Literal["shadow", "canary"] = "shadow"
    share: float = Field(0.1, ge=0, le=1)


class Reload(Section):
    """How changed bundles are taken up without a restart. SIGHUP always does it.

    ``watch_s``: how often to look whether a bundle has changed; 0 is never. ``allow_request``:
    whether a ``reload`` request may ask for it.
    """

    watch_s: float = Field(10, ge=0, le=3600)
    allow_request: bool = False


class Batch(Section):
    """A batch closes at this many messages, at this many characters, or after this wait."""

    max_messages: int = Field(16, ge=1, le=1024)
    max_chars: int = Field(16384, ge=1)
    max_wait_ms: int = Field(0, ge=0, le=60000)


class Output(Section):
    """Where results go and what of the input they carry."""

    prefix: TopicPrefix | None = None
    reply_prefix: TopicPrefix | None = None
    text: Literal["full", "digest"] = "full"
    dead_letter_payload: bool = False


class Limits(Section):
    """Bounds that keep one message, or one bad hour, from harming the rest."""

    max_payload_bytes: int = Field(262144, ge=1)
    max_items: int = Field(1000, ge=1)
    max_depth: int = Field(32, ge=1, le=200)
    max_unacked_bytes: int = Field(16 << 20, ge=1024)
    max_lossy_messages: int = Field(1000, ge=1)
    deadline_s: float = Field(300, gt=0)
    stop_timeout_s: float = Field(10, ge=0)


class Health(Section):
    """How often the retained health message is renewed."""

    interval_s: float = Field(60, ge=1)


class Metrics(Section):
    """The page that Prometheus reads, ``http://<host>:<port>/metrics``. Off without a port."""

    host: str = Field("127.0.0.1", min_length=1)
    port: int | None = Field(None, ge=1, le=65535)


class Log(Section):
    """Level and shape of the log. Payload text is never in it."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "logfmt", "json", "journald"] = "auto"


class Paths(Section):
    """``state_dir`` outlives reboots (a few bytes, written on connect); ``runtime_dir`` is RAM."""

    state_dir: Path | None = None
    runtime_dir: Path | None = None

"""Everything that can be configured, with limits and defaults. Reads nothing; see settings."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from edge_agent.topics import covers, is_filter, is_topic, overlap

ENV_PREFIX = "EDGE_AGENT__"


def _filter(value: str) -> str:
    if not is_filter(value):
        raise ValueError(f"{value!r} is no MQTT topic filter: + and # fill whole levels, # is last")
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


class Config(BaseSettings):
    """Everything the agent can be told."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        cli_exit_on_error=False,
        cli_hide_none_type=True,
    )

    gateway: Gateway = Field(default_factory=Gateway)
    mqtt: Mqtt = Field(default_factory=Mqtt)
    source: tuple[Source, ...] = Field(min_length=1)
    model: Model = Field(default_factory=Model)
    specialists: dict[Name, Specialist] = Field(default_factory=dict)
    routes: dict[str, Stage] = Field(default_factory=dict)
    generate: Generate = Field(default_factory=Generate)
    batch: Batch = Field(default_factory=Batch)
    output: Output = Field(default_factory=Output)
    limits: Limits = Field(default_factory=Limits)
    health: Health = Field(default_factory=Health)
    metrics: Metrics = Field(default_factory=Metrics)
    log: Log = Field(default_factory=Log)
    paths: Paths = Field(default_factory=Paths)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags (added by pydantic-settings) before environment before file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def prefix(self) -> str:
        """What every topic of ours begins with."""
        return self.output.prefix or f"edge/{self.gateway.id}"

    @property
    def reply_prefix(self) -> str:
        """What every reply topic must begin with."""
        return self.output.reply_prefix or f"{self.prefix}/reply"

    @property
    def client_id(self) -> str:
        """The fixed MQTT client id: the broker keeps our session under it."""
        return self.mqtt.client_id or f"edge-agent-{self.gateway.id}"

    @property
    def request_filter(self) -> str:
        """Where requests come in."""
        return f"{self.prefix}/request/+"

    @property
    def filters(self) -> tuple[str, ...]:
        """What we subscribe to. None within another: brokers deliver once for each that fits."""
        names = dict.fromkeys([*(s.filter for s in self.source), self.request_filter])
        return tuple(n for n in names if not any(covers(o, n) for o in names if o != n))

    @model_validator(mode="after")
    def _known_specialists(self) -> Config:
        for route, stage in self.routes.items():
            if stage.specialist not in self.specialists:
                raise ValueError(
                    f"routes.{route}.specialist: no table [specialists.{stage.specialist}]; "
                    f"known: {', '.join(sorted(self.specialists)) or 'none'}"
                )
        return self

    @model_validator(mode="after")
    def _no_loop(self) -> Config:
        outputs = [f"{self.prefix}/{kind}" for kind in ("event/+", "error", "state", "health")]
        outputs.append(f"{self.reply_prefix}/#")
        for source in self.source:
            for output in outputs:
                if overlap(source.filter, output):
                    raise ValueError(
                        f"source filter {source.filter!r} would read our own output {output!r} "
                        "in a loop; narrow the filter or move output.prefix"
                    )
        return self

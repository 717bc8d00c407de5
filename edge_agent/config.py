"""Everything that can be configured. Reads nothing; see settings."""

from __future__ import annotations

from pydantic import Field, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from edge_agent.sections import (
    Batch,
    Challenger,
    Gateway,
    Generate,
    Health,
    Limits,
    Log,
    Metrics,
    Model,
    Mqtt,
    Name,
    Output,
    Paths,
    Reload,
    Source,
    Specialist,
    Stage,
)
from edge_agent.topics import covers, overlap

ENV_PREFIX = "EDGE_AGENT__"


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
    challenger: Challenger | None = None
    reload: Reload = Field(default_factory=Reload)
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
        if overlap(self.request_filter, f"{self.reply_prefix}/+/#"):
            raise ValueError(
                f"replies below output.reply_prefix {self.reply_prefix!r} could be requests on "
                f"{self.request_filter!r}; choose another, such as '{self.prefix}/reply'"
            )
        for source in self.source:
            for output in outputs:
                if overlap(source.filter, output):
                    raise ValueError(
                        f"source filter {source.filter!r} would read our own output {output!r} "
                        "in a loop; narrow the filter or move output.prefix"
                    )
        return self

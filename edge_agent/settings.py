"""Reads the configuration: one TOML file, then environment, then flags; all problems at once."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsConfigDict, SettingsError

from edge_agent.bundle import Bundle, Claim, check_kind, load_bundle, writing_task
from edge_agent.config import ENV_PREFIX, Config
from edge_agent.errors import ConfigError
from edge_agent.signing import PublicKeys, read_public_keys

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_CONFIG = Path("/etc/edge-agent/edge-agent.toml")
BUNDLE = Path("models/gateway-default")
SAMPLE = Path("config/edge-agent.toml")


def load_config(path: Path | None, flags: list[str]) -> Config:
    """Reads file, environment and flags. ConfigError names every problem by its key path."""
    chosen = path or DEFAULT_CONFIG
    _refuse_absent(chosen)
    _refuse_unknown_variables()
    chosen = chosen.absolute()

    class FromFile(Config):
        model_config = SettingsConfigDict(toml_file=chosen)

    with _explained(chosen):
        config = FromFile(_cli_parse_args=flags or None)
    return _anchored(config, chosen.parent)


@contextmanager
def _explained(chosen: Path) -> Iterator[None]:
    """Turns what reading the file meets into ConfigError."""
    try:
        yield
    except ValidationError as error:
        problems = "; ".join(problem.text for problem in problems_of(error))
        raise ConfigError(f"configuration {chosen}: {problems}", f"edit {chosen}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"configuration {chosen}: {error}", f"mend the TOML in {chosen}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"configuration {chosen}: not UTF-8 (byte 0x{error.object[error.start]:02x} at "
            f"{error.start})",
            f"save {chosen} as UTF-8",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"configuration {chosen}: {error.strerror}",
            f"say it again with sudo; for the service: sudo chmod a+r {chosen}",
        ) from error
    except SettingsError as error:
        raise ConfigError(
            f"configuration {chosen}: {error}", "see `edge-agent run --help` and the sample file"
        ) from error


def _refuse_absent(path: Path) -> None:
    try:
        there = path.is_file()
    except PermissionError as error:
        raise ConfigError(
            f"configuration {path}: this user may not look into its folder",
            "run the command as root, with sudo",
        ) from error
    if not there:
        raise ConfigError(
            f"configuration {path}: no such file",
            "pass --config FILE, or start from the commented config/edge-agent.toml",
        )


def usable_parts(path: Path) -> Config:
    """Of a file that cannot be used, the sections that can; defaults for the rest. For doctor."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        tables = {}
    sections = {name: _usable(name, tables.get(name)) for name in Config.model_fields}
    config = Config.model_construct(**{"source": (), **_given(sections)})
    return _anchored(config, path.absolute().parent)


def _usable(name: str, table: object) -> Any:
    """The section, None when it is not there or not right."""
    if table is None:
        return None
    adapter: TypeAdapter[Any] = TypeAdapter(Config.model_fields[name].rebuild_annotation())
    try:
        return adapter.validate_python(table)
    except ValidationError:
        return None


def _given(sections: dict[str, Any]) -> dict[str, Any]:
    return {name: section for name, section in sections.items() if section is not None}


def _refuse_unknown_variables() -> None:
    known = set(Config.model_fields)
    problems, names = [], []
    for variable in sorted(os.environ):
        section = variable.upper().removeprefix(ENV_PREFIX).partition("__")[0].lower()
        if variable.upper().startswith(ENV_PREFIX) and section not in known:
            suggestion = _suggest(section, known)
            problems.append(f"environment variable {variable}: no setting {section}{suggestion}")
            names.append(variable)
    if problems:
        raise ConfigError("; ".join(problems), f"`unset {' '.join(names)}`, or correct what is set")


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the configuration. ``meant`` is the key that an unknown one is near."""

    path: tuple[int | str, ...]
    text: str
    unknown: bool = False
    meant: str | None = None


def problems_of(error: ValidationError) -> list[Problem]:
    """Every problem that pydantic has found, by its key path; no table for what is wrong in it."""
    items = error.errors()
    inside = {item["loc"][:n] for item in items for n in range(1, len(item["loc"]))}
    return [_problem(item) for item in items if item["loc"] not in inside]


def _problem(item: ErrorDetails) -> Problem:
    path = item["loc"]
    where = ".".join(str(part) for part in path)
    if item["type"] != "extra_forbidden":
        return Problem(path, f"{where}: {item['msg']}" if where else item["msg"])
    known = _keys_at(path[:-1])
    close = difflib.get_close_matches(str(path[-1]), known, n=1)
    text = f"{where}: unknown key{_suggest(str(path[-1]), known)}"
    return Problem(path, text, unknown=True, meant=close[0] if close else None)


def _keys_at(path: tuple[int | str, ...]) -> set[str]:
    model: type[BaseModel] = Config
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            nested = [annotation, *get_args(annotation)]
            model = next(t for t in nested if isinstance(t, type) and issubclass(t, BaseModel))
    return set(model.model_fields)


def _suggest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(sorted(known))}"


def _anchored(config: Config, folder: Path) -> Config:
    """Relative paths in the file are meant from the file's folder; ``$NAME`` is expanded."""

    def anchor(value: Any) -> Any:
        if isinstance(value, Path):
            return folder / Path(os.path.expandvars(value)).expanduser()
        if isinstance(value, BaseModel):
            changed = {name: anchor(getattr(value, name)) for name in type(value).model_fields}
            return value.model_copy(update=changed)
        if isinstance(value, dict):
            return {name: anchor(item) for name, item in value.items()}
        return value

    anchored: Config = anchor(config)
    return anchored


def configured_bundle(config: Config) -> Bundle:
    """The bundle that the configuration asks for, verified. SetupError."""
    bundle = _encoder(champion_path(config), configured_keys(config))
    check_stages(config, bundle)
    return bundle


def configured_challenger(config: Config) -> Bundle | None:
    """The bundle on trial, verified; None when there is none. SetupError."""
    if config.challenger is None:
        return None
    return _encoder(config.challenger.bundle, configured_keys(config))


def configured_writers(config: Config) -> dict[str, Bundle]:
    """The bundles that write, by the names of their specialists, verified. SetupError."""
    keys = configured_keys(config)
    writers = {name: load_bundle(one.bundle, keys) for name, one in config.specialists.items()}
    for bundle in writers.values():
        writing_task(bundle)
    return writers


def champion_path(config: Config) -> Path:
    """The folder of the bundle that answers. ConfigError when there is none."""
    return config.model.bundle or default_bundle()


def _encoder(path: Path, keys: PublicKeys | None) -> Bundle:
    bundle = load_bundle(path, keys)
    check_kind(bundle, "encoder")
    return bundle


def check_stages(config: Config, bundle: Claim) -> None:
    """ConfigError when a route is to be written about that the bundle does not have."""
    routes = bundle.manifest.routes
    for route in config.routes:
        if route not in routes:
            raise ConfigError(
                f"routes.{route}: bundle {bundle.card.name} has no route {route}"
                f"{_suggest(route, set(routes))}",
                f"correct or remove the table [routes.{route}] and restart, "
                "or use a bundle that has the route",
            )


def configured_keys(config: Config) -> PublicKeys | None:
    """The keys that bundles must be signed by; None: signatures are not asked for. SetupError."""
    file = config.model.public_key_file
    return read_public_keys(file) if file else None


def default_bundle() -> Path:
    """The bundle that came with this installation. ConfigError when it did not."""
    if (found := shipped(BUNDLE)) is not None:
        return found
    raise ConfigError(
        f"no default bundle in {', '.join(str(place) for place in _shipped_places(BUNDLE))}",
        "set model.bundle, or pass --bundle DIR",
    )


def shipped(name: Path) -> Path | None:
    """A file or folder that comes with edge-agent; None where it was not installed."""
    return next((place for place in _shipped_places(name) if place.exists()), None)


def _shipped_places(name: Path) -> tuple[Path, ...]:
    """Beside the sources, in the environment, and where the package has it."""
    return (
        Path(__file__).parent.parent / name,
        Path(sys.prefix) / "share/edge-agent" / name,
        Path("/usr/share/edge-agent") / name,
    )

"""The sample configuration: complete, and true to the defaults."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from edge_agent.config import Config
from edge_agent.sections import Challenger, Tls
from edge_agent.settings import load_config

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SAMPLE = Path(__file__).parents[2] / "config" / "edge-agent.toml"
PLAIN = '[gateway]\nid = "t"\n[[source]]\nfilter = "site/#"\n'


def test_the_sample_loads() -> None:
    """As it stands, and it names the topics of the documents."""
    config = load_config(SAMPLE, [])
    assert config.prefix == "edge/gw-1"
    assert config.filters == ("site/#", "edge/gw-1/request/+")


def commented_settings() -> list[tuple[str, str, str]]:
    """(table, key, value) of every setting the sample shows commented out."""
    table, found = "", []
    for line in SAMPLE.read_text().splitlines():
        if header := re.match(r"(?:# )?\[+([a-z._-]+)\]+", line):
            table = header.group(1)
        elif setting := re.match(r"# ([a-z_]+) = (\".*?\"|[^ #]+)", line):
            found.append((table, *setting.groups()))
    return found


NO_ONE_VALUE = {
    ("mqtt", "username"),
    ("mqtt", "password_file"),
    ("source", "field"),
    ("specialists.work-order", "bundle"),
    ("routes.maintenance", "specialist"),
    ("source", "template"),
    ("metrics", "port"),
    ("challenger", "bundle"),
    ("model", "public_key_file"),
    ("model", "threads"),
    ("paths", "state_dir"),
    ("paths", "runtime_dir"),
    *(("mqtt.tls", key) for key in ("ca_file", "cert_file", "key_file")),
}
"""Shown as examples: their default is nothing, or depends on the machine."""

DERIVED = {
    ("mqtt", "client_id"): lambda config: config.client_id,
    ("output", "prefix"): lambda config: config.prefix,
    ("output", "reply_prefix"): lambda config: config.reply_prefix,
    ("model", "bundle"): lambda _: "../models/gateway-default",
}
"""Defaults that follow from other settings."""


def sample_section(config: Config, table: str) -> object:
    """A table that is only commented out has the defaults of its class."""
    absent = {"mqtt.tls": Tls(), "challenger": Challenger(bundle=Path("next"))}
    return absent.get(table) or getattr(config, table)


@pytest.mark.parametrize(("table", "key", "shown"), commented_settings())
def test_each_commented_value_of_the_sample_is_the_default(
    table: str, key: str, shown: str
) -> None:
    """Removing the ``#`` changes nothing."""
    config = load_config(SAMPLE, [])
    value = tomllib.loads(f"value = {shown}")["value"]
    if (table, key) in DERIVED:
        assert DERIVED[table, key](config) == value
    elif (table, key) not in NO_ONE_VALUE:
        section = config.source[0] if table == "source" else sample_section(config, table)
        assert getattr(section, key) == value


def test_the_sample_shows_every_setting() -> None:
    """Commented out or not; a new setting must be written there too."""
    shown = {(table, key) for table, key, _ in commented_settings()}
    for table, section in tomllib.loads(SAMPLE.read_text()).items():
        shown |= {(table, key) for key in (section[0] if isinstance(section, list) else section)}
    shown.add(("mqtt", "tls"))
    schema = Config.model_json_schema()["$defs"]
    tables = {name.lower(): name for name in schema}
    tables |= {
        "mqtt.tls": tables.pop("tls"),
        "specialists.work-order": tables.pop("specialist"),
        "routes.maintenance": tables.pop("stage"),
    }
    assert shown == {
        (table, key) for table, name in tables.items() for key in schema[name]["properties"]
    }


def test_the_sample_uncommented_still_loads(tmp_path: Path) -> None:
    """Every commented setting is accepted where it stands."""
    lines = [
        re.sub(r"^# (?=\[|[a-z_]+ = )", "", line)
        for line in SAMPLE.read_text().splitlines()
        if not line.startswith("# template")
    ]
    (tmp_path / "c.toml").write_text("\n".join(lines))
    config = load_config(tmp_path / "c.toml", [])
    assert config.mqtt.username == "edge-agent"
    assert config.mqtt.tls is not None

"""What must not leave the gateway is taken out: passwords, keys, user names, payloads."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from edge_agent.config import Config
from edge_agent.errors import SetupError
from edge_agent.transport.address import read_password

REDACTED = "[redacted]"
MIN_SECRET_CHARS = 4
"""Shorter ones would blot out half of a text."""
MAX_LINE_CHARS = 500
SECRET_KEYS = re.compile(
    r"""^\s*[\w.]*(?:user|pass|secret|token)\w*(?<!_file)\s*=\s*["']+(.+?)["']+""", re.MULTILINE
)
PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [^\n]*-----|\Z)", re.DOTALL
)
EXCEPTION = re.compile(r"^(.*?\b[A-Za-z_.]*(?:Error|Exception|Exit|Interrupt|Warning|Group)): .+$")
"""The last line of a traceback: its message may quote what was being worked on."""
SPEAKS = re.compile(
    r'level=\w+ event=|problem=|"event": |systemd\[\d+\]: |Traceback \(most recent call last\)'
)
"""A line that does not belong to the exception above it: ours, systemd's, the next traceback."""
SECRET_SETTINGS = re.compile(
    r"^(\s*(?:Environment|SetCredential|SetCredentialEncrypted|PassEnvironment)\s*=).*$",
    re.MULTILINE,
)


def secrets_of(config: Config, text: str) -> tuple[str, ...]:
    """Password and user name, unless that is a name that everybody sees anyway.

    ``text`` is the configuration file, which may be broken, or hold what does not belong there.
    """
    public = {"edge-agent", "edge_agent", config.gateway.id, config.client_id, config.mqtt.host}
    found = {config.mqtt.username or "", *SECRET_KEYS.findall(text)} - public
    with contextlib.suppress(SetupError):
        found.add(read_password(config.mqtt.password_file) or "")
    return tuple(sorted((s for s in found if len(s) >= MIN_SECRET_CHARS), key=len, reverse=True))


def scrub(text: str, secrets: Iterable[str]) -> str:
    """The text without secrets, as they are and as JSON or Python quotes them, and private keys."""
    for secret in secrets:
        for quoted in (json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret)):
            text = text.replace(quoted[1:-1], REDACTED)
        text = text.replace(secret, REDACTED)
    return PRIVATE_KEY.sub(REDACTED, text)


def scrub_unit(text: str) -> str:
    """A unit without the values it hands to the service."""
    return SECRET_SETTINGS.sub(rf"\1{REDACTED}", text)


def scrub_log(text: str) -> str:
    """Log lines, bounded, with exceptions by their type alone."""
    return "\n".join(_lines(text)) + "\n"


def _lines(text: str) -> Iterator[str]:
    quoting = False
    for line in text.splitlines():
        structured = "problem=" in line or "event=" in line
        shown = line if structured else EXCEPTION.sub(rf"\1: {REDACTED}", line)
        speaks = SPEAKS.search(line) is not None
        quoting = quoting and not speaks
        yield (REDACTED if quoting else shown)[:MAX_LINE_CHARS]
        quoting = quoting or (shown != line and not speaks)


def config_data(config: Config) -> dict[str, Any]:
    """The configuration as JSON values, without the user name. Hosts and paths stay."""
    data: dict[str, Any] = config.model_dump(mode="json")
    if config.mqtt.username is not None:
        data["mqtt"]["username"] = REDACTED
    return data

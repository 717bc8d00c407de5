"""The log: structlog to the journal where systemd-python is there, else to standard error."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any

import structlog

PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
LOGGER = structlog.get_logger


def set_up_log(level: str, shape: str) -> None:
    """``shape`` is auto, logfmt, json or journald; auto is the journal under systemd."""
    journal = _journal() if shape in {"auto", "journald"} else None
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
    ]
    factory: Any = structlog.WriteLoggerFactory(sys.stderr)
    if journal is not None:
        processors.append(_for_journal)
        factory = _JournalFactory(journal)
    else:
        processors.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
        processors.append(_renderer(shape))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )


def _renderer(shape: str) -> Any:
    if shape == "json":
        return structlog.processors.JSONRenderer()
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])


def _journal() -> Any:
    """systemd-python's journal module when we run under systemd and it is installed."""
    if "JOURNAL_STREAM" not in os.environ:
        return None
    try:
        return importlib.import_module("systemd.journal")
    except ImportError:
        return None


def _for_journal(_logger: object, _name: str, event: dict[str, Any]) -> Any:
    """Message, priority and our own fields in the journal's capital letters."""
    level = event.pop("level", "info")
    message = str(event.pop("event", ""))
    tail = " ".join(f"{key}={value}" for key, value in event.items())
    fields = {f"EDGE_AGENT_{key.upper()}": str(value) for key, value in event.items()}
    return (f"{message} {tail}".strip(),), {"PRIORITY": PRIORITIES.get(level, 6), **fields}


class _JournalFactory:
    """Makes loggers that send to the journal."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def __call__(self, *_args: object) -> Any:
        return _JournalLogger(self._journal)


class _JournalLogger:
    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def msg(self, message: str, **fields: Any) -> None:
        self._journal.send(message, SYSLOG_IDENTIFIER="edge-agent", **fields)

    debug = info = warning = error = critical = msg

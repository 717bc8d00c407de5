"""Makes the running agent take up changed bundles; waits, and says what came of it."""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from edge_agent.commands import serve
from edge_agent.config import Config
from edge_agent.disk import explained
from edge_agent.errors import BundleError, SetupError
from edge_agent.presence import reload_since, running_pid
from edge_agent.settings import load_config
from edge_agent.state import SYSTEM_RUNTIME_DIR, default_runtime_dir
from edge_agent.types import JsonObject

POLL_S = 0.05
WAIT_S = 120.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    serve.arguments(parser)
    text = "seconds to wait for the outcome (default: %(default)g)"
    parser.add_argument("--wait-s", type=float, default=WAIT_S, metavar="SECONDS", help=text)


def run(options: argparse.Namespace) -> int:
    """0 when the bundles on disk are the ones that answer."""
    folder, pid = _find(load_config(options.config, options.settings))
    began_s = time.monotonic()
    try:
        os.kill(pid, signal.SIGHUP)
    except PermissionError as error:
        raise _not_ours(folder) from error
    except ProcessLookupError as error:
        raise _ended() from error
    told = _wait(folder, began_s, options.wait_s)
    if told["outcome"] == "failed":
        raise BundleError(
            f"{told['problem']}\n  {_named(told['model'])} stays in place", told["fix"]
        )
    print(_line(told))
    return 0


def _find(config: Config) -> tuple[Path, int]:
    """Runtime directory and process of the running agent. SetupError when there is none."""
    folders = list(dict.fromkeys(_folders(config)))
    for folder in folders:
        if (pid := _pid(folder)) is not None:
            return folder, pid
    raise SetupError(
        f"no agent runs with the runtime directory {' or '.join(map(str, folders))}",
        "start it: sudo systemctl start edge-agent; if it runs, give the same --config as it has",
    )


def _pid(folder: Path) -> int | None:
    """The agent of this runtime directory, None when there is none. SetupError."""
    with explained(folder):
        try:
            return running_pid(folder)
        except PermissionError as error:
            raise _not_ours(folder) from error


def _folders(config: Config) -> Iterator[Path]:
    if config.paths.runtime_dir:
        yield config.paths.runtime_dir
        return
    yield default_runtime_dir() / config.client_id
    yield SYSTEM_RUNTIME_DIR / config.client_id


def _not_ours(folder: Path) -> SetupError:
    return SetupError(
        f"the agent with the runtime directory {folder} runs as another user",
        "ask as root: sudo edge-agent reload, or sudo systemctl reload edge-agent",
    )


def _ended() -> SetupError:
    return SetupError("the agent ended meanwhile", "see its log: journalctl -u edge-agent")


def _wait(folder: Path, began_s: float, wait_s: float) -> JsonObject:
    while (told := reload_since(folder, began_s)) is None:
        if _pid(folder) is None:
            raise _ended()
        if time.monotonic() - began_s > wait_s:
            raise SetupError(
                f"the agent has not said within {wait_s:g} s what came of it",
                "see its log: journalctl -u edge-agent; or wait longer with --wait-s",
            )
        time.sleep(POLL_S)
    return told


def _line(told: JsonObject) -> str:
    if told["outcome"] == "unchanged":
        return f"unchanged: {_named(told['model'])} is what is on disk"
    if "before" in told:
        return f"changed: {_named(told['before'])} -> {_named(told['model'])}"
    return f"changed: another bundle than that of [model]; {_named(told['model'])} stays in place"


def _named(model: JsonObject) -> str:
    return f"{model['name']} {model['version']} ({model['digest'][:12]})"

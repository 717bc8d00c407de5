"""Errors a person must mend before the agent can run: exit 78, problem and fix on stderr."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.broker.test_permissions import EXIT_SETUP, require_said
from tests.support.agent_process import AgentProcess
from tests.support.broker import Broker
from tests.support.tiny_bundle import Breakage, break_bundle
from tests.support.versions import make_huge

Make = Callable[..., AgentProcess]

BREAKAGES: dict[Breakage, tuple[str, ...]] = {
    "digest": ("model.onnx is damaged", "copy model.onnx again"),
    "missing-file": ("model.onnx is missing",),
    "manifest": ("bundle.json",),
    "path": ("'../outside' leads outside the bundle",),
    "link": ("model.onnx is a link", "replace it by a copy"),
    "onnx": ("model.onnx cannot be loaded",),
    "tokenizer": ("tokenizer.json",),
    "routes": ("route_logits",),
    "labels": ("tag_logits",),
}


def require_setup_error(agent: AgentProcess, *words: str) -> None:
    agent.start(wait=False)
    assert agent.wait_exit() == EXIT_SETUP
    require_said(agent.stderr, *words)
    assert "READY=1" not in agent.notify.lines


@pytest.mark.parametrize("how", BREAKAGES)
def test_a_broken_bundle(make_agent: Make, broker: Broker, tiny: Path, how: Breakage) -> None:
    """Refused before it is used, naming the file at fault."""
    agent = make_agent(broker, break_bundle(tiny, how))
    require_setup_error(agent, *BREAKAGES[how])


def test_no_bundle(make_agent: Make, broker: Broker, tmp_path: Path) -> None:
    """The path and the setting are named."""
    agent = make_agent(broker, tmp_path / "nowhere")
    require_setup_error(agent, "nowhere", "model.bundle")


def test_a_bundle_too_large(make_agent: Make, broker: Broker, tiny: Path) -> None:
    """Refused before any of it is read: the kernel would end the agent, again at each start."""
    agent = make_agent(broker, make_huge(tiny))
    require_setup_error(agent, str(tiny), "MiB are to be had", "MemoryHigh", "smaller bundle")


def test_all_wrong_settings_at_once(make_agent: Make, broker: Broker, tiny: Path) -> None:
    """One start tells everything: unknown keys with a suggestion, values with their path."""
    agent = make_agent(
        broker,
        tiny,
        mqtt={"prot": 1, "keepalive_s": 1},
        batch={"max_mesages": 3},
        source=[{"filter": "site/#/x"}],
        nonsense={"a": 1},
    )
    require_setup_error(
        agent,
        "mqtt.prot: unknown key; did you mean port?",
        "mqtt.keepalive_s",
        "batch.max_mesages: unknown key; did you mean max_messages?",
        "source.0.filter",
        "nonsense: unknown key",
    )


@pytest.mark.parametrize(
    "filter_",
    ["edge/#", "edge/+/event/+", "edge/t/error", "+/t/state", "edge/t/health", "edge/t/reply/x"],
)
def test_inputs_that_match_outputs(
    make_agent: Make, broker: Broker, tiny: Path, filter_: str
) -> None:
    """The agent would feed on its own words."""
    agent = make_agent(broker, tiny, source=[{"filter": filter_}])
    require_setup_error(agent, filter_, "in a loop", "edit")


def test_no_source(make_agent: Make, broker: Broker, tiny: Path) -> None:
    """Nothing to read."""
    require_setup_error(make_agent(broker, tiny, source=[]), "source")


def test_broken_toml(make_agent: Make, broker: Broker, tiny: Path) -> None:
    """The file is named, and the line."""
    agent = make_agent(broker, tiny)
    agent.config.write_text("[mqtt\nport = 1")
    require_setup_error(agent, str(agent.config), "line 1")


def test_no_configuration(make_agent: Make, broker: Broker, tiny: Path) -> None:
    """Where it was looked for, and what to start from."""
    agent = make_agent(broker, tiny)
    agent.config.unlink()
    require_setup_error(agent, str(agent.config), "no such file", "config/edge-agent.toml")


def test_an_unknown_variable(make_agent: Make, broker: Broker, tiny: Path) -> None:
    """A misspelt variable is not passed over in silence."""
    agent = make_agent(broker, tiny)
    agent.environment["EDGE_AGENT__MQTTT__PORT"] = "1"
    require_setup_error(agent, "EDGE_AGENT__MQTTT__PORT", "unset")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder nobody can write")
def test_a_runtime_folder_that_cannot_be(make_agent: Make, broker: Broker, tiny: Path) -> None:
    """Crash counts need it; the setting is named."""
    agent = make_agent(broker, tiny, paths={"runtime_dir": "/proc/nowhere"})
    require_setup_error(agent, "/proc/nowhere", "paths.runtime_dir")


@pytest.mark.parametrize("name", ["agent.lock", "working"])
def test_a_link_in_the_runtime_folder(
    make_agent: Make, broker: Broker, tiny: Path, tmp_path: Path, name: str
) -> None:
    """Not followed; what lies there is named, and the command that is given removes it."""
    (tmp_path / "run").mkdir()
    link = tmp_path / "run" / name
    link.symlink_to(tmp_path / "elsewhere")
    agent = make_agent(broker, tiny, paths={"runtime_dir": str(tmp_path / "run")})
    require_setup_error(agent, f"rm {link}")
    assert "Traceback" not in agent.stderr
    (command,) = re.findall(r"sudo (rm \S+),", agent.stderr)
    subprocess.run(command, shell=True, check=True)
    assert agent.start().stop() == 0


def test_a_state_folder_that_cannot_be(make_agent: Make, broker: Broker, tiny: Path) -> None:
    """It only names the session: the agent warns, and works."""
    agent = make_agent(broker, tiny, paths={"state_dir": "/proc/nowhere"}).start()
    assert "paths.state_dir /proc/nowhere" in agent.stderr
    assert agent.stop() == 0

"""The sample alerts: well formed, and about numbers that the agent has."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_agent.exposition import METRICS

RULES = Path(__file__).parents[1] / "config/prometheus/edge-agent.rules.yml"
NAMES = {f"edge_agent_{metric.name}" for metric in METRICS}


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_each_rule_is_whole() -> None:
    """What Prometheus asks of an alert, and what a person wants of it."""
    for rule in rules():
        assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert "{{ $labels.instance }}" in rule["annotations"]["summary"]
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "0m"))


def test_each_rule_is_about_numbers_that_exist() -> None:
    """A name that changed would silence an alert for ever."""
    for rule in rules():
        used = set(re.findall(r"\b(edge_agent_\w+|up)\b", rule["expr"]))
        assert used
        assert used <= NAMES | {"up"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_takes_them() -> None:
    """Its own check of the whole file."""
    shown = subprocess.run(
        ["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr

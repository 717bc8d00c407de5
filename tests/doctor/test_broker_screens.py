"""Screens of the groups that talk to a broker. ``UPDATE_GOLDEN=1`` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.doctor.advice import next_command
from edge_agent.doctor.examine import examine
from edge_agent.doctor.finding import Finding
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.report import Report, Result
from edge_agent.doctor.screen import Style, draw
from edge_agent.doctor.table import selected
from tests.doctor.test_golden_screens import compare
from tests.doctor.test_runtime_checks import of, told
from tests.support.agent_process import AgentProcess
from tests.support.authority import Secured
from tests.support.broker import Broker, mosquitto_version
from tests.support.clinic import Clinic
from tests.support.machines import ROOT
from tests.support.tiny_bundle import tiny_bundle

GROUPS = ("network", "tls", "broker", "probes", "runtime")
VARYING = (
    (re.escape(f"{ROOT}/config"), "/usr/share/edge-agent/config"),
    (r"/\S*/(broker0|authority)/", "/etc/mosquitto/"),
    (r"/\S*/edge-agent\.toml", "/etc/edge-agent/edge-agent.toml"),
    (r"process \d+", "process 512"),
    (r"[\d.]+ ms", "4 ms"),
    (r"\b\d+ s\b", "1 s"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "2036-03-02 10:00 UTC"),
    (re.escape(mosquitto_version()), "2.0.11"),
    (r"TLS_[A-Z0-9_]+", "TLS_AES_256_GCM_SHA384"),
)


def screen(patient: Patient, port: int) -> str:
    """The examination by these groups, with what varies replaced before it is drawn."""

    def plain(text: str) -> str:
        for pattern, stand_in in ((rf"\b{port}\b", "1883"), *VARYING):
            text = re.sub(pattern, stand_in, text)
        return text

    def steady(finding: Finding) -> Finding:
        return replace(finding, text=plain(finding.text), fix=finding.fix and plain(finding.fix))

    report = examine(selected(GROUPS, []), patient)
    results = tuple(Result(r.check, tuple(map(steady, r.findings))) for r in report.results)
    advice = next_command(report, replace(patient, config_path=None))
    return draw(Report(results, 1.2), Style(), advice)


def test_at_work(
    make_broker: Callable[..., Broker], make_agent: Callable[..., AgentProcess], tiny: Path
) -> None:
    """All that there is to see of an agent at work, probes and all."""
    broker = make_broker(persistence=True, autosave_changes=100)
    agent = make_agent(broker, tiny, health={"interval_s": 30}).start()
    clinic = of(agent)
    wanted = replace(clinic.patient, probe=True)
    told(clinic, "runtime.health", status=clinic.finding("network.tcp").status)
    compare("at_work", screen(replace(wanted), broker.port))


def test_no_broker(broker: Broker, tmp_path: Path) -> None:
    """One error, and what it makes impossible in as few lines."""
    clinic = Clinic.open(tmp_path / "gateway", broker.port)
    broker.stop()
    compare("no_broker", screen(clinic.patient, broker.port))


def test_trouble_with_certificates(secured: Secured) -> None:
    """The broker's for another name, ours about to expire, a key open to all."""
    secured.serve(names="DNS:broker.site,DNS:localhost")
    secured.show(days=10)
    Path(str(secured.tls["key_file"])).chmod(0o644)
    compare("certificates", screen(secured.clinic.patient, secured.broker.port))


def test_rights_that_are_missing(make_broker: Callable[..., Broker], tmp_path: Path) -> None:
    """Each with the line that grants it."""
    rights = "topic read $SYS/#\ntopic read site/#\ntopic readwrite edge/t/reply/#\n"
    broker = make_broker(acl=f"{rights}topic write edge/t/event/fault\n")
    bundle = tiny_bundle(tmp_path / "tiny")
    clinic = Clinic.open(tmp_path / "gateway", broker.port, bundle)
    compare("rights", screen(replace(clinic.patient, probe=True), broker.port))


@pytest.mark.parametrize("name", ["at_work", "no_broker", "certificates", "rights"])
def test_nothing_of_this_machine_is_in_a_screen(name: str) -> None:
    """What varies has been replaced."""
    text = (Path(__file__).parents[1] / f"golden/{name}.txt").read_text()
    assert "/tmp/" not in text
    assert str(ROOT) not in text

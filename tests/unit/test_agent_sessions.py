"""The program and its sessions with the broker, from birth to farewell."""

from __future__ import annotations

import json
from collections.abc import Callable

import jsonschema
import pytest

from edge_agent.errors import BrokerRefused, BrokerUnavailable, ConfigError
from edge_agent.reload import Loader
from edge_agent.transport.address import BrokerAddress, said_goodbye
from edge_agent.transport.loopback import LoopbackTransport
from edge_agent.wire.schema import json_schema
from tests.support.agent_process import NotifySocket
from tests.support.waiting import wait_until
from tests.unit.site import Site, watched

MakeSite = Callable[..., Site]


def test_a_redelivery_is_worked_on_once(site: Site) -> None:
    """The entry takes up where it was; the ack goes over the new connection."""
    specialist = watched(site)
    site.broker.answering = False

    def answer() -> None:
        site.broker.answering = True

    site.run(site.send("pump"), site.cut, site.cut, answer, site.cut)
    assert specialist.asked == [["pump"]]
    assert site.events == ["pump"]
    assert site.broker.acked[0].epoch == 4


def test_a_new_session_gets_no_old_acks(site: Site) -> None:
    """Its packet identifiers name other messages; those become events of their own."""
    site.broker.answering = False

    def lose() -> None:
        site.broker.answering = True
        site.broker.lose_session()
        site.cut()

    site.run(site.send("pump"), lose, site.send("tank"))
    assert site.events == ["pump", "tank"]
    assert site.acked == ["tank"]


def test_copies_have_one_id_within_a_session_and_others_in_the_next(site: Site) -> None:
    """The id survives the agent, not the broker's session."""

    def forget_acks() -> None:
        site.broker.acknowledged = lambda _: None  # type: ignore[method-assign]

    site.run(forget_acks, site.send("pump"))
    site.run()
    site.broker.lose_session()
    site.run(site.send("pump"))
    first, copy, other = (event["id"] for event in site.said("event"))
    assert first == copy
    assert first != other


def test_birth_on_every_connect_and_farewell_at_the_end(site: Site) -> None:
    """Before anything else, and after everything else."""
    site.run(site.send("pump"), site.cut)
    states = [state["state"] for state in site.said("state")]
    assert states == ["online", "online", "stopped"]
    first, last = site.broker.published[0], site.broker.published[-1]
    assert (first.topic, first.retain) == ("edge/t/state", True)
    assert json.loads(last.payload)["state"] == "stopped"
    for state in site.said("state"):
        jsonschema.validate(state, json_schema("state"))


def test_filters_no_longer_configured_are_dropped(make_site: MakeSite) -> None:
    """On a resumed session, which still has them."""
    site = make_site(source=[{"filter": "site/#"}, {"filter": "old/#"}])
    site.run()
    later = make_site(source=[{"filter": "site/#"}])
    later.broker = site.broker
    site.broker.now_s = lambda: later.now_s
    later.run()
    assert site.broker.filters == {"site/#", "edge/t/request/+"}


def test_a_refused_subscription_is_a_persons_to_mend(site: Site) -> None:
    """The filter is named."""
    site.broker.refused_filters = {"site/#": "Not authorized"}
    with pytest.raises(BrokerRefused, match="site/#: Not authorized"):
        site.run()


def test_a_refused_connection_is_a_persons_to_mend(site: Site) -> None:
    """Credentials, for instance."""
    site.broker.refused_connects.append(ConfigError("no password", "write one"))
    with pytest.raises(ConfigError, match="no password"):
        site.run()


def test_a_second_client_of_our_name_is_counted(site: Site) -> None:
    """Where the broker says so, health tells of it, apart from other lost connections."""
    taken = said_goodbye(BrokerAddress("h", 1, "me"), 0x8E, "Session taken over")
    site.broker.refused_connects += [taken, BrokerUnavailable("gone", "start it")]
    site.run(site.send("pump"))
    counters = site.said("health")[-1]["counters"]
    assert (counters["disconnects"], counters["takeovers"]) == (2, 1)
    assert "other client named me" in taken.fix


def test_an_absent_broker_is_waited_for(site: Site) -> None:
    """With READY said after the first try, once; and the watchdog is fed."""
    systemd = NotifySocket()
    site.watchdog_s = 5
    site.broker.refused_connects.extend([BrokerUnavailable("gone", "start it")] * 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOTIFY_SOCKET", systemd.path)
        site.run(site.send("pump"), site.wait(5), site.wait(5))
    wait_until(lambda: "STOPPING=1" in systemd.lines)
    assert site.events == ["pump"]
    assert systemd.lines.count("READY=1") == 1
    assert systemd.lines.count("WATCHDOG=1") >= 3
    assert "STATUS=waiting for the broker" in systemd.lines
    assert "STATUS=subscribed" in systemd.lines
    systemd.close()


def test_a_stop_finishes_what_is_in_hand(make_site: MakeSite) -> None:
    """Without waiting for a batch to fill; then says `stopped`."""
    site = make_site(batch={"max_wait_ms": 60_000, "max_messages": 4})
    before_s = site.now_s
    site.run(site.send(*(f"pump {i}" for i in range(3))), site.stop)
    assert len(site.events) == len(site.acked) == 3
    assert site.said("state")[-1]["state"] == "stopped"
    assert site.now_s - before_s < 1


def test_a_stop_does_not_wait_for_ever(make_site: MakeSite) -> None:
    """At most the configured time, resting meanwhile; the rest is done by the next start."""
    site = make_site(limits={"stop_timeout_s": 7}, health={"interval_s": 2})
    site.broker.answering = False
    site.run(site.send("pump"), site.wait(3), site.stop)
    assert site.now_s == pytest.approx(1000 + 3 + 7, abs=0.01)
    assert site.inbox.turns < 60
    assert site.acked == []
    site.broker.answering = True
    site.run()
    assert site.events == ["pump"]
    assert site.acked == ["pump"]


def test_all_of_a_stop_has_one_deadline(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What finishing the work has left of it is for the transport, and then for the loader."""
    site, given = make_site(limits={"stop_timeout_s": 10}), []

    def stop(_: LoopbackTransport, timeout_s: float) -> None:
        given.append(timeout_s)
        site.now_s += 2

    def mend() -> None:
        site.broker.answering = True
        site.cut()

    monkeypatch.setattr(LoopbackTransport, "stop", stop)
    monkeypatch.setattr(Loader, "wait", lambda _, timeout_s: given.append(timeout_s))
    site.broker.answering = False
    site.run(site.send("pump"), site.stop, site.wait(3), mend)
    assert (site.events, given) == (["pump"], [7, 5])


def test_a_second_stop_is_at_once(site: Site) -> None:
    """Ctrl-C twice."""
    site.broker.answering = False
    site.run(site.send("pump"), site.stop, site.wait(1), site.stop)
    assert site.now_s == 1001


def test_what_arrives_while_stopping_is_left_to_the_broker(site: Site) -> None:
    """Neither worked on nor acknowledged: the next start gets it."""
    site.broker.answering = False
    specialist = watched(site)
    site.run(site.send("pump"), site.stop, site.send("tank"))
    assert specialist.asked == [["pump"]]
    site.broker.answering = True
    site.run()
    assert site.events == ["pump", "tank"]
    assert site.acked == ["pump", "tank"]

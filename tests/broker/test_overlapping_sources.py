"""Sources may overlap: the first that fits counts, and a message counts once."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.site import Site


def test_a_message_under_two_sources_gives_one_event(make_site: Callable[..., Site]) -> None:
    """Mosquitto delivers once for each filter that fits; we subscribe to the wider one alone."""
    sources = [{"filter": "site/json/#", "field": "/m"}, {"filter": "site/#"}]
    site = make_site(source=sources)
    site.agent.start()
    assert site.event("site/json/1", '{"m": "pump 7"}')["text"] == "pump 7"
    site.require_well()
    assert site.counter("events") == 2
    assert len(site.results("site/json/1")) == 1

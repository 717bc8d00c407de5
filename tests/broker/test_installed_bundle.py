"""A bundle that is installed while the agent works is the one that answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from edge_agent.store import Store
from tests.support.agent_process import ROOT
from tests.support.keys import make_key, sign_bundle
from tests.support.releases import make_version, pack_version
from tests.support.site import Site, unique_topic
from tests.support.waiting import PATIENCE_S, wait_until


def bundle(site: Site, store: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """``edge-agent bundle``, with the agent's own configuration."""
    places = ["--store", store, "--config", site.agent.config]
    command = [sys.executable, "-m", "edge_agent", "bundle", *words, *places]
    return subprocess.run(
        [str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False
    )


def answers_with(site: Site, version: str) -> Callable[[], bool]:
    """Whether the agent's next event names this version."""
    return lambda: site.event(unique_topic(), "pump 7")["model"]["version"] == version


def test_install_and_rollback_reach_the_running_agent(
    make_site: Callable[..., Site], tmp_path: Path
) -> None:
    """Without a restart; only what is signed, whoever swaps the link."""
    private, public = make_key(tmp_path)
    store = tmp_path / "store"
    one, two = (make_version(tmp_path, version) for version in ("1.0.0", "2.0.0"))
    Store(store).install(sign_bundle(one, private))
    current = store / "tiny" / "current"
    model = {"bundle": str(current), "public_key_file": str(public), "threads": 1}
    site = make_site(bundle=None, model=model, reload={"watch_s": 0.2})
    site.agent.start()
    pid = site.agent.pid
    assert answers_with(site, "1.0.0")()

    unsigned = bundle(site, store, "install", pack_version(two, tmp_path / "x.tar.gz"))
    assert (unsigned.returncode, "not signed" in unsigned.stderr) == (78, True)
    Store(store).install(two)
    wait_until(lambda: site.counter("reloads_failed") >= 1, PATIENCE_S)
    assert "not signed" in site.health()["reload"]["problem"]
    assert answers_with(site, "1.0.0")()

    sign_bundle(two, private)
    done = bundle(site, store, "install", pack_version(two, tmp_path / "y.tar.gz"))
    assert "replaced bundle.json.sig" in done.stdout
    assert "edge-agent reload --config" in done.stdout
    wait_until(answers_with(site, "2.0.0"), PATIENCE_S)
    assert bundle(site, store, "rollback").returncode == 0
    wait_until(answers_with(site, "1.0.0"), PATIENCE_S)
    assert site.agent.pid == pid

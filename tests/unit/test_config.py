"""The configuration: every problem named at once, by its key path."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_agent.errors import ConfigError
from edge_agent.settings import default_bundle, load_config

if sys.version_info >= (3, 11):
    pass
else:
    pass

SAMPLE = Path(__file__).parents[2] / "config" / "edge-agent.toml"
PLAIN = '[gateway]\nid = "t"\n[[source]]\nfilter = "site/#"\n'


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes a file and gives its path."""

    def write_(text: str) -> Path:
        path = tmp_path / "edge-agent.toml"
        path.write_text(text)
        return path

    return write_


def problem(path: Path, *flags: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, list(flags))
    assert caught.value.fix
    assert str(path) in caught.value.problem or "environment variable" in caught.value.problem
    return caught.value.problem


def test_the_least_configuration(write: Any) -> None:
    """One filter; topics, client id and prefixes follow from the gateway's name."""
    config = load_config(write(PLAIN), [])
    assert config.prefix == "edge/t"
    assert config.reply_prefix == "edge/t/reply"
    assert config.client_id == "edge-agent-t"
    assert config.filters == ("site/#", "edge/t/request/+")


def test_a_file_of_another_encoding(write: Any) -> None:
    """The byte is named, where an editor can find it."""
    path = write(PLAIN)
    path.write_bytes(PLAIN.replace("site", "fühler").encode("latin-1"))
    assert "not UTF-8 (byte 0xfc at " in problem(path)


def test_a_filter_given_twice_is_subscribed_once(write: Any) -> None:
    """Two sources may share one."""
    twice = '[[source]]\nfilter = "a"\n[[source]]\nfilter = "a"\n[gateway]\nid = "t"\n'
    assert load_config(write(twice), []).filters == ("a", "edge/t/request/+")


def test_every_problem_at_once(write: Any) -> None:
    """Each with its key path."""
    said = problem(
        write(
            PLAIN
            + 'format = "xml"\n[mqtt]\nport = 0\nhots = "b"\n[batch]\nmax_messages = "many"\n'
            + "[limits]\nmax_depth = 201\n[nonsense]\na = 1\n"
        )
    )
    for key in ("source.0.format", "mqtt.port", "mqtt.hots", "batch.max_messages"):
        assert f"{key}: " in said
    for key in ("limits.max_depth", "nonsense"):
        assert f"{key}: " in said


@pytest.mark.parametrize(
    ("text", "key", "meant"),
    [
        (PLAIN + '[mqtt]\nhots = "b"\n', "mqtt.hots", "host"),
        (PLAIN + '[mqtt.tls]\nca_fil = "b"\n', "mqtt.tls.ca_fil", "ca_file"),
        (PLAIN + '[[source]]\nfilter = "a"\nfeild = "/a"\n', "source.1.feild", "field"),
        (PLAIN + "[batches]\n", "batches", "batch"),
    ],
)
def test_an_unknown_key_has_a_suggestion(write: Any, text: str, key: str, meant: str) -> None:
    """Also in lists of tables and nested tables."""
    assert f"{key}: unknown key; did you mean {meant}?" in problem(write(text))


def test_an_unknown_key_like_no_other_lists_the_known(write: Any) -> None:
    """So that nobody needs the manual."""
    assert "mqtt.xyzzy: unknown key; known: client_id, " in problem(
        write(PLAIN + "[mqtt]\nxyzzy = 1\n")
    )


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("EDGE_AGENT__MQTT__HOTS", "mqtt.hots: unknown key; did you mean host?"),
        ("EDGE_AGENT__MQTT__TLS__CA_FIL", "mqtt.tls.ca_fil: unknown key; did you mean ca_file?"),
        ("EDGE_AGENT__MQT__HOST", "no setting mqt; did you mean mqtt?"),
        ("EDGE_AGENT__XYZZY", "EDGE_AGENT__XYZZY: no setting xyzzy; known: batch, "),
    ],
)
def test_an_unknown_variable_has_a_suggestion(
    write: Any, monkeypatch: pytest.MonkeyPatch, variable: str, said: str
) -> None:
    """A misspelt variable must not be ignored silently."""
    monkeypatch.setenv(variable, "x")
    assert said in problem(write(PLAIN))


def test_flags_before_environment_before_file(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each overrides single settings and leaves the others."""
    path = write(PLAIN + '[mqtt]\nhost = "file"\nport = 1\nkeepalive_s = 40\n')
    monkeypatch.setenv("EDGE_AGENT__MQTT__HOST", "environment")
    monkeypatch.setenv("EDGE_AGENT__MQTT__PORT", "2")
    mqtt = load_config(path, ["--mqtt.host=flag"]).mqtt
    assert (mqtt.host, mqtt.port, mqtt.keepalive_s) == ("flag", 2, 40)
    assert load_config(path, []).mqtt.host == "environment"


def test_bad_values_of_variables_and_flags_are_named(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same key path as in the file."""
    assert "mqtt.port: " in problem(write(PLAIN), "--mqtt.port=soon")
    assert "hots" in problem(write(PLAIN), "--mqtt.hots=b")
    monkeypatch.setenv("EDGE_AGENT__MQTT__PORT", "soon")
    assert "mqtt.port: " in problem(write(PLAIN))


@pytest.mark.parametrize(
    "filter_",
    [
        "#",
        "+/t/event/fault",
        "edge/#",
        "edge/t/#",
        "edge/+/event/+",
        "edge/t/error",
        "edge/t/state",
        "edge/+/health",
        "edge/t/reply/someone",
        "$share/g/edge/#",
    ],
)
def test_inputs_that_match_outputs_are_refused(write: Any, filter_: str) -> None:
    """A loop would fill the broker; the filter is named."""
    assert filter_ in problem(write(PLAIN.replace("site/#", filter_)))


@pytest.mark.parametrize("filter_", ["edge/other/#", "edge/t/request/#", "+/a", "$SYS/#"])
def test_neighbours_of_our_outputs_are_no_loop(write: Any, filter_: str) -> None:
    """Another gateway's events may be an input."""
    assert load_config(write(PLAIN.replace("site/#", filter_)), [])


def test_a_loop_through_a_moved_reply_prefix_is_refused(write: Any) -> None:
    """Wherever replies go."""
    assert "site/answers/#" in problem(write(PLAIN + '[output]\nreply_prefix = "site/answers"\n'))


@pytest.mark.parametrize("prefix", ["edge/t", "edge/t/request", "edge"])
def test_replies_that_would_be_requests_are_refused(write: Any, prefix: str) -> None:
    """Whoever asks could have the agent ask itself."""
    said = problem(write(PLAIN + f'[output]\nreply_prefix = "{prefix}"\n'))
    assert "edge/t/request/+" in said
    assert "edge/t/reply" in said


def test_replies_beside_requests_are_none(write: Any) -> None:
    """Requests are one level long."""
    assert load_config(write(PLAIN + '[output]\nreply_prefix = "edge/t/request/a"\n'), [])


@pytest.mark.parametrize("filter_", ["a/#/b", "a+", "", "##"])
def test_a_bad_filter_is_named(write: Any, filter_: str) -> None:
    """With the rule it breaks."""
    assert "source.0.filter: " in problem(write(PLAIN.replace("site/#", filter_)))


@pytest.mark.parametrize("prefix", ["", "/a", "a/", "a/+", "#", "a\\u0001"])
def test_a_bad_prefix_is_named(write: Any, prefix: str) -> None:
    """We publish below it."""
    assert "output.prefix: " in problem(write(PLAIN + f'[output]\nprefix = "{prefix}"\n'))


@pytest.mark.parametrize(
    "text",
    [
        'field = "/a"\ntemplate = "{a}"\n',
        'field = "/a"\nformat = "text"\n',
        'template = "{a}"\nformat = "text"\n',
        'field = "a"\n',
        'template = ""\n',
        "[mqtt.tls]\ncert_file = 'a'\n",
        "[mqtt.tls]\nkey_file = 'a'\n",
    ],
)
def test_settings_that_exclude_or_need_each_other(write: Any, text: str) -> None:
    """Said, instead of one being ignored."""
    assert re.search(r"(source\.0|mqtt\.tls)", problem(write(PLAIN + text)))


def test_no_source_is_a_problem(write: Any) -> None:
    """There would be nothing to do."""
    assert "source: " in problem(write('[gateway]\nid = "t"\n'))
    assert "source: " in problem(write("source = []\n"))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[mqtt", "end of document"),
        ("a = = 1", "line 1"),
        (PLAIN + "[gateway]\n", "line 5"),
        ("\x00", "line 1"),
    ],
)
def test_broken_toml(write: Any, text: str, where: str) -> None:
    """Named with its place."""
    assert where in problem(write(text))


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """Not UTF-8."""
    (tmp_path / "c.toml").write_bytes(b"\xff\xfe\x00")
    assert problem(tmp_path / "c.toml")


def test_no_file(tmp_path: Path) -> None:
    """The fix names the flag and the sample."""
    with pytest.raises(ConfigError, match="no such file") as caught:
        load_config(tmp_path / "absent.toml", [])
    assert "--config" in caught.value.fix


def test_relative_paths_are_meant_from_the_files_folder(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absolute ones stay; ``$NAME`` and ``~`` are taken from the environment."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    monkeypatch.setenv("HOME", "/home/someone")
    path = write(
        PLAIN
        + '[mqtt]\npassword_file = "$CREDENTIALS_DIRECTORY/password"\n'
        + '[mqtt.tls]\nca_file = "ca.pem"\n'
        + '[model]\nbundle = "../models/b"\n'
        + '[paths]\nstate_dir = "~/state"\nruntime_dir = "/run/a"\n'
        + '[specialists.work-order]\nbundle = "../models/w"\n'
    )
    config = load_config(path, [])
    assert config.mqtt.password_file == Path("/run/credentials/password")
    assert config.mqtt.tls is not None
    assert config.mqtt.tls.ca_file == path.parent / "ca.pem"
    assert config.model.bundle == path.parent / "../models/b"
    assert config.paths.state_dir == Path("/home/someone/state")
    assert config.paths.runtime_dir == Path("/run/a")
    assert config.specialists["work-order"].bundle == path.parent / "../models/w"


def test_an_empty_tls_table_turns_tls_on(write: Any) -> None:
    """With the system's authorities."""
    assert load_config(write(PLAIN + "[mqtt.tls]\n"), []).mqtt.tls is not None
    assert load_config(write(PLAIN), []).mqtt.tls is None


def test_the_default_bundle_is_the_one_beside_the_package() -> None:
    """In a clone."""
    assert default_bundle() == SAMPLE.parents[1] / "models" / "gateway-default"

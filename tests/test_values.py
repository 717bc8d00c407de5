"""What a surface text of an entity is worth as a value, and that nothing in it can do harm."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.values import MAX_SURFACE_CHARS, normalise
from edge_agent.values.units import _EXACT, ucum

QUANTITIES = [
    ("82.5 degC", {"number": 82.5, "unit": "Cel"}),
    ("-4°C", {"number": -4, "unit": "Cel"}),
    ("\u22125 \u2103", {"number": -5, "unit": "Cel"}),
    ("3 bar", {"number": 3, "unit": "bar"}),
    ("3.2 BAR", {"number": 3.2, "unit": "bar"}),
    ("40 %", {"number": 40, "unit": "%"}),
    ("1500 rpm", {"number": 1500, "unit": "{rev}/min"}),
    ("12 m³/h", {"number": 12, "unit": "m3/h"}),
    ("9 kg per hour", {"number": 9, "unit": "kg/h"}),
    ("5 MW", {"number": 5, "unit": "MW"}),
    ("5 mW", {"number": 5, "unit": "mW"}),
    ("7 mw", {"number": 7, "unit_text": "mw"}),
    ("512 MiB", {"number": 512, "unit": "MiBy"}),
    ("-61 dBm", {"number": -61, "unit_text": "dBm"}),
    ("5 °C/min", {"number": 5, "unit_text": "°C/min"}),
    ("5 widgets", {"number": 5, "unit_text": "widgets"}),
    ("12,500", {"number": 12500}),
    ("21,5", {"number": 21.5}),
    ("0,125", {"number": 0.125}),
    ("1.234", {"number": 1.234}),
    ("1.234,5 kWh", {"number": 1234.5, "unit": "kW.h"}),
    ("1,234.5", {"number": 1234.5}),
    ("> 105", {"comparator": ">", "number": 105}),
    ("HH 105", {"comparator": ">", "number": 105}),
    ("LL 12 %", {"comparator": "<", "number": 12, "unit": "%"}),
    ("≥5 bar", {"comparator": ">=", "number": 5, "unit": "bar"}),
    ("max 80 %", {"comparator": "<=", "number": 80, "unit": "%"}),
    ("approx. 5 bar", {"comparator": "~", "number": 5, "unit": "bar"}),
    ("3-5 bar", {"low": 3, "high": 5, "unit": "bar"}),
    ("3 bar to 5 bar", {"low": 3, "high": 5, "unit": "bar"}),
    ("3..5", {"low": 3, "high": 5}),
    ("-20..60 C", {"low": -20, "high": 60, "unit": "Cel"}),
    ("between 3 and 5 bar", {"low": 3, "high": 5, "unit": "bar"}),
    ("+/- 5 %", {"tolerance": 5, "unit": "%"}),
    ("21 ± 0.5 °C", {"number": 21, "tolerance": 0.5, "unit": "Cel"}),
    ("two", {"number": 2}),
    ("a dozen", {"number": 12}),
]
NO_QUANTITY = ["", "0x1f", "10:30", "3.2.1", "1/2", "50-20", "3 and 5", "3 bar to 5 psi", "1e999"]
NO_QUANTITY += ["half empty", "> ", "12 500", "9" * 40, "1,5,5", "true"]

TIMES = [
    ("2024-01-19T18:12:30.373712Z", {"iso8601": "2024-01-19T18:12:30.373712Z"}),
    ("2024-01-19 18:12:30,373", {"iso8601": "2024-01-19T18:12:30.373"}),
    ("2013-11-11 10:00:01 +0100", {"iso8601": "2013-11-11T10:00:01+01:00"}),
    ("2013/11/11", {"iso8601": "2013-11-11"}),
    ("20240119T181230Z", {"iso8601": "2024-01-19T18:12:30Z"}),
    ("2005-06-03-15.42.50.675872", {"iso8601": "2005-06-03T15:42:50.675872"}),
    ("1700000000", {"iso8601": "2023-11-14T22:13:20Z"}),
    ("1700000000123", {"iso8601": "2023-11-14T22:13:20.123Z"}),
    ("Apr  4 14:30:19", {"iso8601": "--04-04T14:30:19"}),
    ("Sun Dec 04 04:47:44 2005", {"iso8601": "2005-12-04T04:47:44"}),
    ("[19/Jan/2024:18:12:30 +0100]", {"iso8601": "2024-01-19T18:12:30+01:00"}),
    ("April 4th, 2024", {"iso8601": "2024-04-04"}),
    ("03-17 16:13:38.811", {"iso8601": "--03-17T16:13:38.811"}),
    ("14/05/2024", {"iso8601": "2024-05-14"}),
    ("06:40", {"iso8601": "T06:40"}),
    ("since 06:40", {"iso8601": "T06:40"}),
    ("at 6:40 pm", {"iso8601": "T18:40"}),
    ("12 am", {"iso8601": "T00:00"}),
    ("every 250 hrs", {"every": "PT250H"}),
    ("daily", {"every": "P1D"}),
    ("for 5 minutes", {"duration": "PT5M"}),
    ("1h30m", {"duration": "PT1H30M"}),
    ("1 s 250 ms", {"duration": "PT1.25S"}),
    ("12345678 ms", {"duration": "PT12345.678S"}),
]
NO_TIME = [
    "",
    "last night",
    "in 5 minutes",
    "5 minutes ago",
    "04/05/2024",
    "10.30",
    "25:00",
    "Feb 30",
]
NO_TIME += [
    "2023-02-29",
    "every Monday",
    "081109 203518",
    "13 pm",
    "14:30 CET",
    "1.5 h 3 min",
    "2024",
]
NO_TIME += ["9999999999", "06:40+15:00", "marble 4"]

ADDRESSES = [
    ("10.0.0.7", {"kind": "ipv4", "host": "10.0.0.7"}),
    ("10.0.0.7:502", {"kind": "ipv4", "host": "10.0.0.7", "port": 502}),
    ("10.0.0.0/24", {"kind": "ipv4-network", "network": "10.0.0.0/24"}),
    ("10.0.0.5/24", {"kind": "ipv4", "host": "10.0.0.5", "prefix_length": 24}),
    ("2001:DB8::1", {"kind": "ipv6", "host": "2001:db8::1"}),
    ("[fe80::1%eth0]:1883", {"kind": "ipv6", "host": "fe80::1%eth0", "port": 1883}),
    ("GW-3.local:1883", {"kind": "host", "host": "gw-3.local", "port": 1883}),
    ("localhost", {"kind": "host", "host": "localhost"}),
    (
        "mqtt://user:secret@gw:1883/x",
        {"kind": "url", "scheme": "mqtt", "host": "gw", "port": 1883, "path": "/x"},
    ),
    ("A4-CF-12-FE-01-BC", {"kind": "mac", "address": "a4:cf:12:fe:01:bc"}),
    ("0x00158d0001abcdef", {"kind": "ieee-eui64", "address": "00:15:8d:00:01:ab:cd:ef"}),
    ("00:15:8d:00:01:02:03:04", {"kind": "ieee-eui64", "address": "00:15:8d:00:01:02:03:04"}),
    ("/dev/ttyUSB0", {"kind": "path", "path": "/dev/ttyUSB0"}),
    ("etc/app.conf", {"kind": "path", "path": "etc/app.conf"}),
    ("plant/a/temp", {"kind": "topic", "topic": "plant/a/temp"}),
    ("a.b@site.example", {"kind": "email", "host": "site.example"}),
]
NO_ADDRESS = [
    "",
    "eth0",
    "COM3",
    "Gi1/0/24",
    "256.0.0.1",
    "10.0.0.7:70000",
    "http://[::1",
    "unit 7",
]
NO_ADDRESS += ["0x1a", "1.2.3", "a//b", "http://x:99999/", "root@10.0.0.5", "10.0.0.7/502"]

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
LABELS = st.sampled_from(["quantity", "time", "address", "asset", ""])
NEAR_MISSES = st.text(alphabet="0123456789.,:-/+ TZabcehmspx°%<>=~[]'\"\\#@", max_size=60)


@pytest.mark.parametrize(("surface", "value"), QUANTITIES)
def test_quantity(surface: str, value: dict[str, object]) -> None:
    """Numbers, limits, ranges and tolerances come out as numbers, units as UCUM codes."""
    found = normalise("quantity", surface)
    assert found == value
    assert isinstance(found.get("number"), type(value.get("number")))


@pytest.mark.parametrize(("surface", "value"), TIMES)
def test_time(surface: str, value: dict[str, object]) -> None:
    """Absolute times come out as ISO 8601 with nothing invented, periods as durations."""
    assert normalise("time", surface) == value


@pytest.mark.parametrize(("surface", "value"), ADDRESSES)
def test_address(surface: str, value: dict[str, object]) -> None:
    """Addresses say their kind, host and port; credentials never come along."""
    assert normalise("address", surface) == value


@pytest.mark.parametrize(
    ("label", "surface"),
    [
        *(("quantity", surface) for surface in NO_QUANTITY),
        *(("time", surface) for surface in NO_TIME),
        *(("address", surface) for surface in NO_ADDRESS),
        ("asset", "10.0.0.7"),
        ("quantity", " " * MAX_SURFACE_CHARS + "5"),
    ],
)
def test_doubt_has_no_value(label: str, surface: str) -> None:
    """What could be read in two ways, or not at all, has no value."""
    assert normalise(label, surface) is None


def test_every_unit_code_is_built_from_atoms_of_ucum() -> None:
    """No code in the table is our own: each factor is a prefix and an atom UCUM defines."""
    metric = "bar Pa V W A Ohm S Hz s m L g t N J lx lm cd By bit Bd m[H2O] t"
    plain = "Cel [degF] K [psi] % min h d wk mo a [ft_i] [in_i] [mi_i] [cft_i] [gal_us] [lb_av]"
    plain += " [in_i'H2O] [in_i'Hg] deg [ppm] [ppb] [NTU] dB [pH]"
    prefixes = ["", *"nucmkhMGT", "Ki", "Mi", "Gi", "Ti"]
    atoms = {prefix + atom for prefix in prefixes for atom in metric.split()} | set(plain.split())
    for code in set(_EXACT.values()):
        for factor in re.split(r"[./]", re.sub(r"\{[^}]*\}", "", code)):
            assert factor.rstrip("23") in atoms | {""}, code


@pytest.mark.parametrize("text", ["mw", "k", "bananas", "m/", "/h", "pH/h", "kg/m/s/", "°"])
def test_unknown_units_have_no_code(text: str) -> None:
    """A spelling that could mean two units, or none, has no code."""
    assert ucum(text) is None


@given(LABELS, st.one_of(st.text(max_size=400), NEAR_MISSES))
def test_any_text_gives_json_or_nothing(label: str, surface: str) -> None:
    """Whatever the text, the value is plain JSON or None, and nothing is raised."""
    value = normalise(label, surface)
    assert value is None or json.loads(json.dumps(value, allow_nan=False)) == value


@given(st.integers(-(10**15), 10**15), st.sampled_from(sorted(_EXACT)))
def test_whole_numbers_survive(number: int, unit: str) -> None:
    """A whole number with any known unit comes back as that very int and that unit's code."""
    value = normalise("quantity", f"{number} {unit}")
    assert value == {"number": number, "unit": _EXACT[unit]}


@given(st.floats(-1e6, 1e6, allow_nan=False), st.integers(1, 6))
def test_decimals_survive(number: float, digits: int) -> None:
    """A decimal number comes back as Python reads it."""
    text = f"{number:.{digits}f}"
    assert normalise("quantity", text) == {"number": float(text)}


@given(st.integers(0, 4 * 10**15).map(lambda us: EPOCH + timedelta(microseconds=us)))
def test_timestamps_survive(moment: datetime) -> None:
    """ISO forms and the epoch name the same moment after normalising."""
    value = normalise("time", moment.isoformat(sep=" "))
    assert datetime.fromisoformat(value["iso8601"].replace("Z", "+00:00")) == moment
    if moment.timestamp() >= 10**9:
        epoch = normalise("time", f"{moment.timestamp():.0f}")
        assert epoch["iso8601"].endswith("Z")


@pytest.mark.parametrize("label", ["quantity", "time", "address"])
@pytest.mark.parametrize(
    "unit", ["1", "1,", "1.", "1 ", "- ", "a.", "a-", "a/", "1:", "1m ", " ", "1 to ", "::", "."]
)
def test_hostile_repetition_is_cheap(label: str, unit: str) -> None:
    """No repeated pattern up to the longest surface takes noticeable time."""
    for tail in ("", "!", "\0", "5 bar"):
        surface = (unit * MAX_SURFACE_CHARS)[: MAX_SURFACE_CHARS - len(tail)] + tail
        started_s = perf_counter()
        normalise(label, surface)
        assert perf_counter() - started_s < 0.25

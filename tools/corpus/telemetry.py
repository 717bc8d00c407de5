"""Structured messages built from parts: JSON, key=value, colon pairs and columns.

Hand-written lines show how such messages are labelled; these add the breadth of keys and layouts
that nobody wants to write by hand. A value is an entity by what its key means; keys never are.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tools.corpus.annotation import Example
from tools.corpus.lexicons import ALARMS, BROKEN_NOUNS, HOME, LINKS, MACHINES, PLACES
from tools.corpus.segments import Piece, Pieces, joined
from tools.corpus.surfaces import ip, timestamp

Field = tuple[str, Piece]


def listed(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


MEASURES = {
    "": "temp temperature t t1 t2 tmp hum humidity rh pressure press p flow level lvl pos sp pv op",
    "V": "voltage volt u u1 vbat vdc supply bus_voltage",
    "A": "current amps i i_l1 load_a charge_current",
    "W": "power p_ac watt active_power pv_power",
    "kWh": "energy e_total kwh yield_today import_total",
    "%": "soc soh battery bat batt load cpu mem disk duty fuel valve brightness humidity",
    "dBm": "rssi signal rsrp wifi",
    "ppm": "co2 co voc nh3 h2s gas",
    "lx": "lux illuminance light",
    "Hz": "freq f hz grid_freq",
    "rpm": "rpm speed n rotor fan_speed",
    "°C": "temp temperature t_in t_out coolant heatsink oil_t supply return sat oat chip",
    "C": "temp soc_temp t_amb motor_t inlet",
    "bar": "press p_in p_out oil_p suction discharge",
    "kPa": "press map dp",
    "mm/s": "vib vib_rms velocity",
    "m/s": "wind gust wind_speed",
    "l/min": "flow q flow_rate",
    "m3/h": "flow q_in q_out",
    "mm": "rain gap dist displacement",
    "kg": "weight net gross",
    "s": "uptime up duration interval run_time",
    "ms": "latency rtt jitter cycle took",
    "MB": "heap free used mem rss",
    "h": "hours run_h smu op_hours",
    "pH": "ph",
    "count": "count cnt total n retries errors restarts tx rx msgs linkquality lqi snr pf cos_phi "
    "power_factor lat lon alt tilt x y z ch1 ch2 ain0 ai1 raw adc seq_len",
}
STATES = (
    ("state", "ON OFF on off open closed running idle standby LOCKED armed heating cooling auto"),
    ("status", "ok OK good online ready normal GOOD active charging"),
    ("mode", "auto manual eco heat cool remote local boost"),
    ("door", "closed open"),
    ("contact", "true false"),
    ("occupancy", "true false"),
    ("quality", "good GOOD 192"),
    ("alarm", "none no false"),
    ("enabled", "true false"),
)
DEVICE_KEYS = listed("""
device dev id name node sensor tag asset unit machine deviceId source equipment
""")
TIME_KEYS = listed("ts time timestamp t date at datetime last_seen")
ADDRESS_KEYS = listed("ip addr host src remote peer topic")
CODE_KEYS = listed("seq msg_id code err fw version batch job order serial reg crc")
TROUBLE_KEYS = listed("error msg err reason message alarm event fault text desc")
PLACE_KEYS = listed("loc location site room area zone")
TROUBLE = (("fault", BROKEN_NOUNS), ("alarm", ALARMS), ("connectivity", LINKS))
TAGS = listed("PT TT FT LT AT VFD MTR P TK AHU CH BLR GEN UPS WTG INV EM PMP CV FAN AE ZT")


def structured(rng: Random) -> Example:
    """A structured message; one in four reports trouble, the others are readings."""
    fields = [_measure(rng) for _ in range(rng.randint(1, 6))]
    fields += [_state(rng) for _ in range(rng.choice((0, 0, 1, 2)))]
    rng.shuffle(fields)
    route = "reading"
    if rng.random() < 0.25:
        route, words = rng.choice(TROUBLE)
        key, trouble = rng.choice(TROUBLE_KEYS), Piece(rng.choice(words), "symptom")
        fields.insert(rng.randint(0, len(fields)), (key, trouble))
    fields = _framed(fields, rng)
    return joined(rng.choice(LAYOUTS)(fields, rng), route)


def _framed(fields: list[Field], rng: Random) -> list[Field]:
    """Who, when, where and which around the measured values, each now and then."""
    if rng.random() < 0.3:
        code = rng.choice((str(rng.randint(1, 99999)), f"0x{rng.randrange(65536):04x}"))
        fields = [*fields, (rng.choice(CODE_KEYS), Piece(code, "code"))]
    if rng.random() < 0.15:
        fields = [*fields, (rng.choice(ADDRESS_KEYS[:5]), Piece(ip(rng), "address"))]
    if rng.random() < 0.15:
        fields = [(rng.choice(PLACE_KEYS), Piece(rng.choice(PLACES), "location")), *fields]
    if rng.random() < 0.7:
        fields = [(rng.choice(DEVICE_KEYS), Piece(device(rng), "asset")), *fields]
    if rng.random() < 0.5:
        moment = (rng.choice(TIME_KEYS), Piece(timestamp(rng), "time"))
        fields = [moment, *fields] if rng.random() < 0.6 else [*fields, moment]
    return fields


def device(rng: Random) -> str:
    """A device as machines name it: a tag, a snake-case name, a name with a number, an id."""
    name = rng.choice(MACHINES + HOME)
    number = rng.randint(1, 40)
    return rng.choice((
        f"{rng.choice(TAGS)}-{rng.randint(1, 999)}",
        f"{rng.choice(TAGS)}{rng.randint(1, 99):02d}",
        name.replace(" ", "_"),
        name.replace(" ", "-") + f"-{number}",
        f"{name.split(' ')[-1]}{number}",
        f"sensor.{name.replace(' ', '_').lower()}",
        f"{name} {number}",
        f"0x00{rng.randrange(16**14):014x}",
    ))  # fmt: skip


def _measure(rng: Random) -> Field:
    unit = rng.choice(list(MEASURES))
    key = rng.choice(MEASURES[unit].split())
    value = rng.lognormvariate(3, 1.6)
    digits = rng.choice((0, 0, 1, 1, 2, 3))
    number = ("-" if rng.random() < 0.1 else "") + f"{value:.{digits}f}"
    shown = unit not in ("", "pH", "count") and rng.random() < 0.35
    return key, Piece(number + rng.choice(("", " ")) * shown + unit * shown, "quantity")


def _state(rng: Random) -> Field:
    key, values = rng.choice(STATES)
    return key, Piece(rng.choice(values.split()))


def _json(fields: list[Field], rng: Random) -> Pieces:
    colon, comma = rng.choice(((":", ","), (": ", ", ")))
    pieces = [Piece("{")]
    for at, (key, value) in enumerate(fields):
        quote = "" if _bare(value.text) else '"'
        opening = f'{comma if at else ""}"{key}"{colon}{quote}'
        pieces += [Piece(opening), value, Piece(quote)]
    return [*_json_head(rng), *pieces, Piece("}")]


def _json_head(rng: Random) -> Pieces:
    """Often a topic stands before the payload."""
    if rng.random() < 0.75:
        return []
    parts = [rng.choice(("site", "plant", "zb", "home", "tele", "edge", "area1")), device(rng)]
    topic = Piece("/".join(parts).replace(" ", "_"), "address")
    before, after = rng.choice((("", " "), ("topic=", " payload="), ("", ": "), ("publish ", " ")))
    return [Piece(before), topic, Piece(after)]


def _bare(text: str) -> bool:
    return text in {"true", "false"} or text.replace(".", "", 1).lstrip("-").isdigit()


def _pairs(fields: list[Field], rng: Random) -> Pieces:
    link = rng.choice(("=", "=", "=", ":", ": ", " = "))
    gap = rng.choice((" ", " ", ", ", ";", ",", " | "))
    return _laid_out([(f"{key}{link}", value) for key, value in fields], gap)


def _words(fields: list[Field], rng: Random) -> Pieces:
    """As a person or a display would put it: ``oil_p 3.2 bar, load 40%``."""
    gap = rng.choice((", ", " ", " / ", "  ", " - "))
    framing = {*DEVICE_KEYS, *TIME_KEYS, *TROUBLE_KEYS, *PLACE_KEYS}
    return _laid_out([("" if k in framing else f"{k} ", v) for k, v in fields], gap)


def _columns(fields: list[Field], rng: Random) -> Pieces:
    gap = rng.choice((",", ";", "|", "\t", ", "))
    return _laid_out([("", value) for _, value in fields], gap)


def _laid_out(fields: list[Field], gap: str) -> Pieces:
    pieces: Pieces = []
    for at, (before, value) in enumerate(fields):
        pieces += [Piece((gap if at else "") + before), value]
    return [piece for piece in pieces if piece.text]


LAYOUTS: tuple[Callable[[list[Field], Random], Pieces], ...] = (
    _json,
    _json,
    _pairs,
    _pairs,
    _words,
    _columns,
)

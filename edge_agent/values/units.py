"""Spellings of units, and their codes in UCUM (the Unified Code for Units of Measure).

Annotations in braces carry what UCUM leaves out and do not change the unit: ``bar{gauge}``. UCUM
has no code for dBm, so that stays unknown here.
"""

from __future__ import annotations

import re
import unicodedata

_SPELLINGS = {
    "Cel": "°C C c degC deg.C degreeC degreesC degreesCelsius degreeCelsius celsius centigrade",
    "[degF]": "°F F f degF deg.F degreesF degreesFahrenheit fahrenheit",
    "K": "K kelvin",
    "bar": "bar bars",
    "bar{gauge}": "barg bar(g)",
    "bar{absolute}": "bara bar(a)",
    "mbar": "mbar millibar",
    "[psi]": "psi",
    "[psi]{gauge}": "psig",
    "Pa": "Pa pascal",
    "hPa": "hPa",
    "kPa": "kPa",
    "MPa": "MPa",
    "mm[H2O]": "mmH2O mmWC",
    "[in_i'H2O]": "inH2O inWC inWG",
    "[in_i'Hg]": "inHg",
    "%": "% pct percent",
    "%{RH}": "%RH %rh %r.h. pctRH RH%",
    "uV": "uV",
    "mV": "mV millivolt millivolts",
    "V": "V v volt volts VDC Vdc VAC Vac Vrms",
    "kV": "kV",
    "uA": "uA",
    "mA": "mA milliamp milliamps mADC",
    "A": "A amp amps ampere amperes",
    "kA": "kA",
    "W": "W w watt watts",
    "mW": "mW",
    "kW": "kW kilowatt kilowatts",
    "kW{peak}": "kWp",
    "MW": "MW megawatt megawatts",
    "GW": "GW",
    "W.h": "Wh",
    "kW.h": "kWh kW.h",
    "MW.h": "MWh MW.h",
    "V.A": "VA",
    "kV.A": "kVA",
    "MV.A": "MVA",
    "V.A{reactive}": "var",
    "kV.A{reactive}": "kvar",
    "A.h": "Ah",
    "mA.h": "mAh",
    "Ohm": "Ohm ohms Ω",
    "kOhm": "kOhm kohms kΩ",
    "MOhm": "MOhm Mohms MΩ",
    "uS/cm": "uS/cm",
    "mS/cm": "mS/cm",
    "Hz": "Hz hertz",
    "kHz": "kHz",
    "MHz": "MHz",
    "GHz": "GHz",
    "{rev}/min": "rpm r/min rev/min 1/min revs/min revolutions/min revolutions/minute",
    "s": "s sec secs second seconds",
    "ms": "ms msec msecs millisecond milliseconds",
    "us": "us usec usecs microsecond microseconds",
    "ns": "ns nanosecond nanoseconds",
    "min": "min mins minute minutes",
    "h": "h hr hrs hour hours",
    "d": "d day days",
    "wk": "wk wks week weeks",
    "mo": "month months",
    "a": "yr yrs year years",
    "km": "km kilometre kilometres kilometer kilometers",
    "m": "m metre metres meter meters mtr mtrs",
    "cm": "cm",
    "mm": "mm millimetre millimetres millimeter millimeters",
    "um": "um micron microns micrometre micrometres",
    "[ft_i]": "ft foot feet",
    "[in_i]": 'in inch inches "',
    "[mi_i]": "mi mile miles",
    "[mi_i]/h": "mph",
    "m2": "m2 sqm",
    "m3": "m3 cbm",
    "[cft_i]/min": "cfm",
    "L": "L l ltr ltrs litre litres liter liters",
    "mL": "mL ml",
    "hL": "hL hl",
    "L/min": "lpm",
    "[gal_us]/min": "gpm",
    "kg": "kg kgs kilo kilos kilogram kilograms",
    "g": "g gram grams gr",
    "mg": "mg",
    "ug": "ug",
    "t": "t tonne tonnes",
    "[lb_av]": "lb lbs",
    "N": "N newton newtons",
    "kN": "kN",
    "N.m": "Nm N.m N-m",
    "kN.m": "kNm",
    "J": "J",
    "kJ": "kJ",
    "MJ": "MJ",
    "lx": "lx lux",
    "lm": "lm lumen lumens",
    "cd": "cd",
    "deg": "degree degrees",
    "[ppm]": "ppm",
    "[ppb]": "ppb",
    "[NTU]": "NTU",
    "dB": "dB",
    "[pH]": "pH",
    "bit": "bit bits",
    "kbit/s": "kbps kbit/s",
    "Mbit/s": "Mbps Mbit/s",
    "Gbit/s": "Gbps Gbit/s",
    "By": "B byte bytes",
    "kBy": "kB KB kbyte kbytes",
    "MBy": "MB megabyte megabytes",
    "GBy": "GB gigabyte gigabytes",
    "TBy": "TB terabyte terabytes",
    "KiBy": "KiB",
    "MiBy": "MiB",
    "GiBy": "GiB",
    "TiBy": "TiB",
    "Bd": "Bd baud",
    "mm/s": "mm/s",
    "m/s": "m/s mps",
    "km/h": "km/h kph kmh",
}
_NOT_RATIO = {"Cel", "[degF]", "[pH]", "dB"}
"""Units on a scale of their own: UCUM does not let them be divided."""

_EXACT = {spelling: code for code, line in _SPELLINGS.items() for spelling in line.split()}


def _folded() -> dict[str, str]:
    """Lower-case spellings of two letters or more that mean one unit only (not MW, mW)."""
    codes: dict[str, set[str]] = {}
    for spelling, code in _EXACT.items():
        if len(spelling) > 1:
            codes.setdefault(spelling.lower(), set()).add(code)
    return {folded: next(iter(found)) for folded, found in codes.items() if len(found) == 1}


_FOLDED = _folded()
_PER = re.compile(r"\s*(?:/|\bper\b)\s*", re.IGNORECASE)


def ucum(text: str) -> str | None:
    """The UCUM code of a unit as written, or None when it is not known for sure."""
    plain = unicodedata.normalize("NFKC", text).replace("\u03bc", "u").replace("^", "")
    plain = _PER.sub("/", plain)
    compact = "".join(plain.split())
    return _atom(compact) or _atom(compact.rstrip(".")) or _ratio(compact)


def _atom(compact: str) -> str | None:
    return _EXACT.get(compact) or _FOLDED.get(compact.lower())


def _ratio(compact: str) -> str | None:
    upper, slash, lower = compact.partition("/")
    over, under = _atom(upper), _atom(lower)
    if not slash or over is None or under is None or {over, under} & _NOT_RATIO:
        return None
    return None if set(under) & set("./{") else f"{over}/{under}"

"""What is measured with: messages of plants, written for this purpose."""

from __future__ import annotations

from edge_agent.bench.runs import Length

LOG = (
    "06:40:12 PLC-3 WARN conveyor C-12 motor current 14.2 A above limit 12.0 A",
    "06:40:13 PLC-3 INFO speed set to 0.6 m/s by rule overload-2",
    "06:41:55 PLC-3 WARN bearing temperature 81.5 C at drive end, rising 1.2 C a minute",
    "06:42:30 PLC-3 ALARM vibration 9.8 mm/s RMS at drive end, limit 7.1 mm/s",
    "06:42:31 PLC-3 INFO stop requested, emptying zone 4 to buffer B-2",
)

TEXTS: dict[Length, tuple[str, ...]] = {
    "short": (
        "pump P-204 leaks at the seal",
        "tank T-7 level 82 %",
        "open valve V-31 in hall 2",
        "sensor TS-118 does not answer",
    ),
    "medium": (
        (
            "Pump P-204 in hall 2 has been leaking at the shaft seal since this morning, "
            "about a cup an hour; please have someone look before the night shift."
        ),
        (
            "Gateway gw-north lost its link to the weather mast at 03:12 and again at 03:40, "
            "each time for two minutes, signal strength -97 dBm."
        ),
        (
            "Replaced the filter of compressor K-2 and topped up the oil; the outlet pressure "
            "is back at 7.4 bar, next service in 2000 hours."
        ),
        (
            "Cold room 5 reads 9.5 C though the set point is 4 C; the door was closed and the "
            "fan runs, so I think it is the expansion valve."
        ),
    ),
    "long": (
        "\n".join(LOG),
        (
            "Round of Tuesday. Boiler B-1: burner starts only at the second try, flame signal "
            "3.1 uA. Boiler B-2: fine, 74 C, 1.6 bar. Heating pump HP-3 hums louder than last "
            "week and its housing is at 68 C. Water meter of the east wing stands at 18,442 "
            "m3, which is 31 m3 more than yesterday at the same hour, so there may be a leak "
            "in the garden line."
        ),
        "\n".join(reversed(LOG)),
        (
            "Handover to the night shift: line 4 was stopped from 15:20 to 16:05 because the "
            "light barrier at the packer reported an object that was not there. We cleaned "
            "it, aligned it anew and tested it ten times. The labeller on line 2 skips about "
            "one carton in fifty; Mara has ordered a new sensor, part 4410-B, which should "
            "come on Thursday at 10:00."
        ),
    ),
}
"""Four for each length, taken in turn."""

"""What operators and technicians of the simulated site write. See ``machines.Line``."""

from __future__ import annotations

from edge_agent.demo.machines import Line

READING = (
    Line("operator/tankfarm", "{tank.tag} at {tank.level_pct:.0f} %, all quiet here"),
    Line("operator/line2", "shift handover: belt {belt.number} ok, {belt.trays} trays so far"),
)

ALARM = (
    Line("operator/pumphouse", "water on the floor of the pumphouse and rising, need someone NOW"),
    Line("operator/press", "guard of press 1 is open while it runs, keep everybody away"),
    Line("operator/chiller", "strong ammonia smell near the chiller, we are leaving the hall"),
)

SECURITY = (
    Line("operator/gate", "somebody climbed over the fence at the solar field, see camera 9"),
    Line("operator/office", "found an unknown usb stick plugged into the engineering pc"),
)

CONNECTIVITY = (
    Line("operator/solar", "cant reach the gateway in the solar field since {clock}"),
    Line("operator/line2", "hmi 2 keeps losing its connection to the plc"),
)

FAULT = (
    Line("operator/pumphouse", "{pump.tag} seal is dripping since {clock}", "wear"),
    Line("operator/hvac", "fan of {air.tag} rattles and smells hot, please have a look"),
    Line("operator/yard", "forklift 3 wont start, batt flat again"),
    Line("operator/line2", "gearbox on belt {belt.number} getting noisier every day"),
    Line("operator/line2", "display of HMI 2 stays black"),
)

MAINTENANCE = (
    Line("workorder/pumphouse", "replaced mechanical seal on {pump.tag}, back in service", "mend"),
    Line("workorder/line2", "greased both bearings of belt {belt.number}, next time in 250 hrs"),
    Line(
        "workorder/hvac",
        "{air.tag} filter change due, dp {air.filter_pa:.0f} Pa, order two F7 cassettes",
    ),
    Line("workorder/lab", "calibrated PT-12 against the reference gauge, was 0.1 bar off"),
    Line("workorder/pumphouse", "WO {number}: inspect coupling of {pump.tag} tomorrow morning"),
    Line("workorder/line2", "cleaned photo eye at belt {belt.number} infeed"),
    Line("workorder/air", "oil change on compressor K2 planned for friday"),
    Line("workorder/it", "updated {host} to v3.8.1 and rebooted it"),
    Line("workorder/dock", "swapped the battery of dock door 3 sensor, 2.97 V now"),
)

COMMAND = (
    Line("operator/pumphouse", "start PU-32 and stop PU-31"),
    Line("operator/hvac", "set {air.tag} to {air.setpoint_c:.0f} degC"),
    Line("operator/tankfarm", "bring XV-12 up to {small} % open"),
    Line("operator/hall", "switch off the lights in hall C"),
    Line("operator/line2", "slow belt {belt.number} down to 0.8 m/s"),
    Line("operator/dock", "close dock gate 3 please"),
    Line("operator/solar", "cap {solar.tag} at 8 kW until noon"),
    Line("operator/tankfarm", "pls turn the mixer in {tank.tag} on for 10 min"),
)

QUESTION = (
    Line("operator/tankfarm", "what is the level in {tank.tag}?"),
    Line("operator/pumphouse", "is {pump.tag} running again?"),
    Line("operator/hvac", "who changed the setpoint of {air.tag} last night?"),
    Line("operator/line2", "how many trays did belt {belt.number} carry since 06:00"),
    Line("operator/line2", "why is belt {belt.number} standing?"),
    Line("operator/air", "when was compressor K2 last serviced?"),
    Line("operator/line2", "what does F0021 mean on this drive?"),
)

OTHER = (
    Line("operator/chat", "good morning everybody, coffee is ready"),
    Line("operator/chat", "thanks, see you tomorrow"),
    Line("operator/chat", "happy birthday Jo!"),
    Line("operator/chat", "my bus is late, there in ten"),
    Line("operator/chat", "canteen has soup and pancakes today"),
    Line("operator/chat", "haha nice one"),
)

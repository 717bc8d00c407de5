"""What machines, programs and sensors of the simulated site say, by what each message is about.

``Line(topic, text, upset)``: the text is a format string over the plant, ``upset`` what happens to
the plant before it is said. Doubled braces are JSON's own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One thing the site can say. ``upset`` names a ``Plant.upset``, or is ``mend``, or nothing."""

    topic: str
    text: str
    upset: str = ""


READING = (
    Line(
        "pumphouse/{pump.tag}/telemetry",
        '{{"pump":"{pump.tag}","speed_hz":{pump.speed_hz:.1f},"flow_m3h":{pump.flow_m3h:.1f},'
        '"bearing_c":{pump.bearing_c:.1f},"state":"running"}}',
    ),
    Line(
        "tankfarm/{tank.tag}/telemetry",
        '{{"tank":"{tank.tag}","level":{{"pct":{tank.level_pct:.1f},"m":{tank.level_m:.2f}}},'
        '"inflow_lpm":{tank.inflow_lpm:.0f}}}',
    ),
    Line(
        "hvac/{air.tag}/status",
        "ahu={air.tag} supply=16.4C room={air.room_c:.1f}C filter_dp={air.filter_pa:.0f}Pa fan=on",
    ),
    Line(
        "solar/{solar.tag}",
        "inverter {solar.tag} producing {solar.power_kw:.1f} kW at {solar.string_v:.0f} V",
    ),
    Line(
        "line2/belt{belt.number}",
        "belt {belt.number} running at {belt.speed_ms:.1f} m/s, load {belt.load_pct:.0f} %",
    ),
    Line(
        "gw/heartbeat",
        "{iso} INFO heartbeat host={host} uptime={gateway.uptime_s:.0f}s cpu={small}% mem=41%",
    ),
    Line("coldstore/room2", "cold room 2 at {cold_room_c:.1f} degC, door shut"),
    Line("line2/batch", "batch {number} finished: {belt.trays} trays in 31 min, no rejects"),
    Line("gw/syslog", "{syslog} {host} systemd[1]: Finished daily rotation of log files."),
    Line(
        "gw/web",
        '10.20.0.{small} - - [{clf}] "GET /status HTTP/1.1" 200 512',
    ),
    Line("dock/door3", '{{"sensor":"dock-door-3","contact":"closed","battery_v":2.97}}'),
    Line("gw/cron", "{iso} historian: nightly copy finished in {small} s"),
)

ALARM = (
    Line(
        "tankfarm/{tank.tag}/alarm",
        "{tank.tag} level {tank.level_pct:.1f} % is above HH 95 %, inlet still open",
        "overfill",
    ),
    Line(
        "pumphouse/{pump.tag}/alarm",
        '{{"alarm":"HH","tag":"TT-31","value":{pump.bearing_c:.1f},"limit":95,"unit":"degC"}}',
        "overheat",
    ),
    Line(
        "pumphouse/{pump.tag}/alarm",
        "{pump.tag} tripped on motor overload at {pump.current_a:.1f} A",
        "wear",
    ),
    Line("line2/safety", "{iso} CRITICAL emergency stop pressed at tail end of belt {belt.number}"),
    Line("boiler/gas", "gas detector GD-2 reads 24 % LEL in boiler room, evacuate"),
    Line(
        "coldstore/room2/alarm",
        "ALARM cold room 2 temperature {cold_room_c:.1f} degC above limit 8 degC for 30 min",
        "thaw",
    ),
    Line("fire/zone6", "smoke detector zone 6 active, warehouse east"),
)

SECURITY = (
    Line(
        "gw/auth",
        "{syslog} {host} cockpit-ws[{number}]: auth failed for guest from 203.0.113.{small}, "
        "third attempt",
    ),
    Line("line2/hmi", "login refused for account plc_view: wrong PIN three times at HMI 2"),
    Line("substation/rtu4", "cabinet RTU-4 tamper contact opened, no work permit active"),
    Line(
        "gw/firewall",
        "{syslog} {host} kernel: DROP IN=eth0 SRC=198.51.100.{small} DST=10.20.0.7 DPT=502",
    ),
    Line("gate/badge", '{{"event":"badge denied","door":"server room","badge":"B-{number}"}}'),
    Line("gw/auth", "{syslog} {host} sudo: trainee : user NOT in sudoers ; COMMAND=/bin/sh"),
    Line("gw/broker", "client scada-test not authorised to publish on topic site/line2/cmd"),
)

CONNECTIVITY = (
    Line("fieldbus/modbus", "modbus: no answer from unit 14 after 3 retries (1000 ms)"),
    Line(
        "zigbee/bridge",
        "zigbee: device 0x00124b0021c3d4e5 left the network, lqi {small}",
        "fade",
    ),
    Line("gw/wlan", "{iso} WARN wlan0: carrier lost, reconnecting to plant-wifi", "fade"),
    Line("gw/syslog", "{syslog} {host} kernel: igb 0000:02:00.0 eth1: link is down"),
    Line("gw/opc", "opc.tcp://10.20.0.40:4840 session closed, reconnect in {small} s"),
    Line(
        "mesh/r3",
        "repeater R3 rssi={gateway.rssi_dbm:.0f}dBm lost_frames={gateway.lost_frames}",
        "fade",
    ),
    Line("gw/bridge", "MQTT bridge to relay-1 connected again after {small} s"),
    Line(
        "line2/can", '{{"bus":"can0","state":"bus-off","node":"drive {belt.number}","errors":128}}'
    ),
)

FAULT = (
    Line(
        "tankfarm/{tank.tag}/sensor",
        "ERROR level sensor of {tank.tag} frozen at {tank.level_pct:.1f} %",
    ),
    Line("line2/drive", "drive of belt {belt.number} reports fault F0021, encoder signal missing"),
    Line("solar/{solar.tag}", "{solar.tag} string 3 delivers nothing, fuse blown?"),
    Line(
        "gw/syslog",
        "{syslog} {host} kernel: Out of memory: Killed process {number} (historian)",
    ),
    Line("oven/tc8", '{{"sensor":"TC-8","status":"open circuit","value":null}}'),
    Line("gw/app", "{iso} ERROR recipe-sync: KeyError: 'batch' in load_recipe, job aborted"),
    Line("tankfarm/valve", "valve XV-12 stuck at {small} %, does not follow its command"),
    Line("gw/disk", "{syslog} {host} kernel: sda: read error at sector 88{number}"),
)

"""Words of the trade that stand in for others of the same label. Ours, by hand.

Entries of one list can replace each other in a sentence; ``/`` separates them.
"""

from __future__ import annotations


def _entries(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.replace("\n", " ").split("/") if entry.strip())


MACHINES = _entries("""
booster pump / sump pump / vacuum pump / feed pump / slurry pump / dosing pump / jockey pump /
gear pump / screw pump / circulating pump / condensate pump / bilge pump / fire pump / air
compressor / screw compressor / ammonia compressor / refrigeration unit / condenser fan / cooling
tower / heat pump / chiller / air handler / exhaust fan / roof fan / dust collector / baghouse /
conveyor / belt conveyor / screw conveyor / bucket elevator / roller table / palletizer / stacker
crane / overhead crane / hoist / winch / forklift / reach truck / excavator / wheel loader / haul
truck / grader / dozer / drill rig / backhoe / water truck / tractor / combine / sprayer / crusher
/ jaw crusher / ball mill / vibrating screen / hydrocyclone / thickener / filter press /
centrifuge / agitator / mixer / extruder / injection press / lathe / milling machine / grinder /
press brake / laser cutter / robot cell / welding robot / packing machine / labeller / bottle
filler / capper / case packer / shrink wrapper / oven / kiln / furnace / boiler / steam generator
/ heat exchanger / autoclave / dryer / evaporator / distillation column / reactor / storage tank /
silo / hopper / buffer tank / day tank / clarifier / digester / blower / diesel generator / genset
/ gas turbine / steam turbine / wind turbine / transformer / switchgear / inverter / rectifier /
battery charger / UPS / elevator / escalator / barrier gate / roller shutter / dock leveller /
turnstile / sprinkler system / fire panel / flow meter / level switch / pressure transmitter / pH
analyser / weighbridge / gas detector / anemometer / tow tractor / baggage belt / jet bridge /
locomotive / points machine / main engine / bow thruster / steering gear / auxiliary engine / left
engine / right engine / landing gear / autopilot / weather radar / heater / tire changer / scissor
lift / irrigation valve
""")

HOME = _entries("""
hall light / porch light / desk lamp / floor lamp / bedroom lamp / ceiling fan / bathroom fan /
kitchen light / garage door / front gate / back door lock / window sensor / motion sensor / door
sensor / smoke detector / thermostat / radiator valve / underfloor heating / towel rail / boiler /
water heater / washing machine / tumble dryer / dishwasher / fridge / freezer / oven / coffee
maker / kettle / robot vacuum / lawn mower / sprinkler / pool pump / doorbell / garden camera / tv
/ speaker / projector / soundbar / blinds / curtains / awning / skylight / air purifier /
humidifier / dehumidifier / smart plug / power strip / wall switch / led strip / christmas lights
/ alarm panel / siren / garage heater / aquarium light / cat flap / ev charger / solar inverter /
home battery / water softener / leak sensor / rain sensor / weather station / radiator / fireplace
/ bedside lamp
""")

PROGRAMS = _entries("""
sshd / systemd / kernel / cron / mosquitto / emqx / nginx / apache2 / haproxy / dockerd /
containerd / kubelet / postgres / influxd / telegraf / grafana / prometheus / redis-server /
chronyd / ntpd / dhclient / dnsmasq / NetworkManager / wpa_supplicant / hostapd / ModemManager /
avahi-daemon / bluetoothd / udevd / sudo / su / login / polkitd / rsyslogd / smartd / mdadm /
fail2ban / openvpn / strongswan / charon / wireguard / snmpd / zigbee2mqtt / zwave-js / node-red /
homeassistant / esphome / octoprint / klipper / modbusd / opcua-server / bacnetd / knxd / canbusd
/ plc4x / scadad / historian / watchdogd / rtu-poller / meter-reader / edge-sync / ota-agent /
gpsd / postfix / vsftpd / smbd / lighttpd / uwsgi / gunicorn / celery / rabbitmq / kafka /
zookeeper / java / python3 / bridge / gateway / collector / scheduler / coordinator / router /
broker / httpd / auditd / logrotate / rsync / backup / restic / borg / fwupd / iptables / ufw /
firewalld / suricata / asterisk
""")

COMPONENTS = _entries("""
bearing / drive end bearing / seal / mechanical seal / shaft / coupling / gearbox / gear / drive
belt / v-belt / chain / sprocket / pulley / idler / roller / impeller / casing / gasket / o-ring /
valve / check valve / relief valve / solenoid / solenoid valve / actuator / piston / cylinder /
hydraulic hose / air hose / fuel line / brake line / brake pads / brake disc / caliper / clutch /
flywheel / alternator / starter motor / fan belt / radiator / water pump / thermostat / oil filter
/ fuel filter / air filter / filter element / strainer / screen cloth / liner / wear plate /
bucket teeth / cutting edge / track shoe / tyre / wheel nut / wheel bearing / mudguard / mirror /
windscreen / wiper blade / seat belt / headlight / beacon / reverse alarm / horn / fuse / relay /
contactor / circuit breaker / terminal / cable / wiring loom / plug / connector / limit switch /
proximity switch / encoder / thermocouple / probe / battery / battery terminal / display / keypad
/ fan / heatsink / capacitor bank / power supply / circuit board / memory card / antenna / SIM
card / belt scraper / skirt rubber / guard / hinge / latch / door seal / spring / bolt / nut /
bracket / bush / pin / spindle / chuck / tool holder / nozzle / hotend / heating element /
thermistor / spark plug / magneto / exhaust valve / rocker cover gasket / intake manifold / push
rod / propeller / carburetor / induction boot / baffle / oil cooler / oil / hydraulic oil /
coolant / grease / refrigerant / fuel / left hand mirror / rear axle / front strut / lh drive
motor / rh final drive / no. 1 cylinder / no. 4 cylinder exhaust gasket / turbocharger / blade /
pitch motor / yaw brake / slip ring / tail pulley / head drum / return roller / swivel / ladder /
handrail
""")

BROKEN = _entries("""
leaking / not working / noisy / overheating / vibrating / broken / cracked / loose / worn / worn
out / bent / stuck / jammed / seized / blocked / blown / burnt out / snapped / missing / faulty /
failed / damaged / slipping / squealing / rattling / knocking / grinding / dripping / flooded /
frozen / flat / dead / not starting / won't start / not charging / not holding pressure / losing
power / cutting out / smoking / tripping / out of alignment / misaligned / corroded / rusted /
chafed / frayed / torn / split / dirty / clogged / dry / low / erratic / intermittent / flickering
/ unresponsive / hot / running hot / running rough / stiff / sticking / shorted / open circuit /
out of calibration / drifting / not responding / u/s / inop / kaput / not closing / not opening /
not retracting / hanging / bypassing / weeping / sheared / stripped / delaminated / scored /
pitted / perished / fouled / sluggish / surging
""")

BROKEN_NOUNS = _entries("""
leak / crack / noise / vibration / rattle / short circuit / no power / no pressure / low pressure
/ low flow / no signal / wrong reading / high temperature / oil leak / air leak / blockage /
damage / excessive play / metal in oil / burning smell / sensor failure / read error / checksum
error / crash / segmentation fault / out of memory / disk full / no space left on device /
unexpected restart / stall / exception / failed to start / not found / invalid value / data
corrupted / hard fault / self test failed
""")

ALARMS = _entries("""
high high level / low low level / high pressure / low oil pressure / overpressure / high
temperature / overtemperature / overspeed / overload / overcurrent / undervoltage / overvoltage /
earth fault / phase loss / gas leak / gas detected / smoke detected / fire / flooding / water
ingress / spill / flame failure / loss of vacuum / emergency stop / tripped / trip / mains failure
/ limit exceeded / vibration high / HH / critical temperature / high level / low level / high
discharge pressure / man down / motor protection tripped / interlock active / limit reached /
threshold exceeded / burst pipe / boiling over / on fire
""")

LINKS = _entries("""
timed out / timeout / disconnected / connection lost / connection refused / unreachable / no
response / not responding / link down / offline / no carrier / dropped / lost / retrying / reset
by peer / no route to host / no ack / CRC error / packet loss / weak signal / no signal /
interview failed / not reachable / host unreachable / network is unreachable / DNS lookup failed /
name resolution failed / broken pipe / keepalive timeout / connection reset / handshake timeout /
bus-off / frame error / parity error
""")

REFUSALS = _entries("""
failed password / authentication failure / access denied / permission denied / invalid user / not
authorised / unauthorized / forbidden / login failed / bad password / wrong PIN / invalid token /
certificate expired / certificate verify failed / bad signature / forced open / tamper / intrusion
detected / unknown device / blocked / denied / rejected / locked out / brute force / port scan /
account locked / invalid credentials / too many attempts / possible break-in attempt / unknown
certificate / not allowed / key mismatch / spoofing / door held open / motion detected / glass
break / suspicious
""")

WORK = _entries("""
replace / repair / inspect / check / clean / lubricate / grease / adjust / calibrate / tighten /
remove / refit / install / fit / change / change out / overhaul / service / weld / reseal /
rebuild / align / balance / test / top up / drain / flush / paint / swap / modify / order / reset
/ realign / regrease / rewire / repack / retension / patch / unblock / sandblast / rotate /
sharpen / measure / investigate / troubleshoot / reprogram / update / upgrade / torque / recharge
/ refill / bleed / purge / fabricate
""")

WORK_DONE = _entries("""
replaced / repaired / inspected / checked / cleaned / lubricated / greased / adjusted / calibrated
/ tightened / removed / refitted / installed / fitted / changed / overhauled / serviced / welded /
resealed / rebuilt / aligned / balanced / tested / drained / flushed / painted / swapped /
modified / ordered / rewired / patched / unblocked / reinstalled / secured / stop drilled /
torqued / resecured / reset / cycled / lubed / sealed / disassembled / bled / purged / refilled /
topped up / recharged
""")

WORK_NOUNS = _entries("""
inspection / service / repair / replacement / overhaul / calibration / cleaning / lubrication /
adjustment / alignment / oil change / maintenance / check / test / functional test / upgrade /
modification / installation / regreasing / rebuild / proof test / thermography / stocktake
""")

ORDERS = _entries("""
open / close / start / stop / switch on / switch off / turn on / turn off / shut down / restart /
reset / enable / disable / lock / unlock / raise / lower / run / activate / arm / disarm / pause /
resume
""")

PLACES = _entries("""
hall B / hall 3 / bay 4 / kitchen / bathroom / bedroom / living room / cellar / attic / garage /
hallway / garden / yard / north yard / south gate / pump house / pump room / boiler room / engine
room / control room / server room / plant room / compressor room / workshop / warehouse / loading
dock / dock 3 / roof / level 2 / ground floor / first floor / basement / stairwell / corridor /
office / lab / canteen / gate 2 / building A / block C / zone 4 / line 2 / aisle 12 / rack 7 /
cold store / tank farm / intake / substation / quarry / pit / stockpile / crusher bay / wash bay /
parking deck / platform 2 / tunnel / bridge deck / upstairs / downstairs / greenhouse / barn /
stable / nursery / west wing / east side / lh side / rear / forward cabin / aft galley / cockpit /
wheelhouse / nacelle / tower base / hub / site 4 / well 12
""")

PEOPLE = _entries("""
root / admin / administrator / operator / guest / pi / ubuntu / deploy / backup / test / oracle /
ftp / support / service / svc_scada / hmi / user1 / nobody / engineer / maint / supervisor /
technician / electrician / fitter / mechanic / welder / night shift / contractor / driver / pilot
/ crew / planner / m.okafor / t.lindqvist / J. Brandt / R. Oduya / K. Svensson / A. Petrov / L.
Moreau / S. Haddad / dave / priya / tom / marta / the cleaner / security guard / plumber /
inspector / sysop / jenkins / ansible
""")

PERIODS = _entries("""
last night / this morning / yesterday / today / tomorrow / tonight / since yesterday / since
monday / since last shift / in 2 hours / for 20 minutes / for three days / every week / every 500
hrs / monthly / weekly / next week / next shutdown / during night shift / at the weekend / this
afternoon / on friday / end of shift / on sunday / every 30 s / in the morning / last week / at
night / until 18:00 / in a minute
""")

STAND_INS: tuple[tuple[str, frozenset[str], tuple[str, ...]], ...] = (
    ("asset", frozenset({"alarm", "fault", "maintenance", "reading", "command"}), MACHINES),
    ("asset", frozenset({"command", "question"}), HOME),
    ("asset", frozenset({"question"}), MACHINES),
    ("component", frozenset({"fault", "maintenance", "alarm", "question", "reading"}), COMPONENTS),
    ("symptom", frozenset({"fault"}), BROKEN + BROKEN_NOUNS),
    ("symptom", frozenset({"maintenance"}), BROKEN),
    ("symptom", frozenset({"alarm"}), ALARMS),
    ("symptom", frozenset({"connectivity"}), LINKS),
    ("symptom", frozenset({"security"}), REFUSALS),
    ("action", frozenset({"maintenance"}), WORK + WORK_DONE + WORK_NOUNS),
    ("action", frozenset({"command"}), ORDERS),
)
"""Label, routes it serves, and entries."""

EVERYWHERE = (("location", PLACES), ("person", PEOPLE), ("time", PERIODS))
"""Label and entries that serve any route."""

SHORTHAND = {
    "air conditioning": "a/c", "alignment": "algnmt", "bearing": "brg", "bearings": "brgs",
    "broken": "brkn", "change out": "c/o", "check": "chk", "checked": "chkd", "conveyor": "conv",
    "cylinder": "cyl", "discharge": "disch", "engine": "eng", "exhaust": "exh", "filter": "fltr",
    "for": "4", "forward": "fwd", "front": "frt", "gearbox": "g/box", "hydraulic": "hyd",
    "inspect": "insp", "inspected": "insp'd", "inspection": "insp", "installed": "instld",
    "left hand": "lh", "level": "lvl", "maintenance": "mtce", "manifold": "manif", "motor": "mtr",
    "number": "no.", "operator": "op", "outside": "o/s", "please": "pls", "position": "pos",
    "pressure": "press", "removed": "rmvd", "repair": "rpr", "repaired": "rprd",
    "replace": "repl", "replaced": "repl'd", "required": "req'd", "right hand": "rh",
    "sensor": "snsr", "service": "svc", "switch": "sw", "temperature": "temp", "through": "thru",
    "transmission": "trans", "valve": "vlv", "vibration": "vib", "with": "w/", "without": "w/o",
    "workshop": "w/shop",
}  # fmt: skip
"""What people write when they are short of time."""

"""A small works with state: what runs, how full, how warm, and what went wrong.

One step is one second of the demo and about a minute of the plant. Upsets push the state off;
mending brings it back. Randomness comes from outside: the same seed gives the same plant.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

MINUTES_A_STEP = 1.0
HALL_C = 22.0


@dataclass
class Pump:
    """``wear`` from 0 (new) to 1; it heats the bearing."""

    tag: str
    speed_hz: float = 40.0
    wear: float = 0.1
    bearing_c: float = 55.0
    running: bool = True

    @property
    def flow_m3h(self) -> float:
        """By the affinity laws flow goes with speed."""
        return 0.46 * self.speed_hz * (1 - 0.3 * self.wear) if self.running else 0.0

    @property
    def current_a(self) -> float:
        """Power goes with the cube of speed."""
        return 1.2 + 9.5 * (self.speed_hz / 50) ** 3 * (1 + self.wear) if self.running else 0.0


@dataclass
class Tank:
    """Level in per cent of ``height_m``."""

    tag: str
    height_m: float = 5.0
    level_pct: float = 60.0
    inflow_lpm: float = 300.0

    @property
    def level_m(self) -> float:
        """Level in metres."""
        return self.level_pct / 100 * self.height_m


@dataclass
class Belt:
    """A conveyor; ``trays`` counts what it has carried."""

    number: int
    load_pct: float = 45.0
    speed_ms: float = 1.2
    trays: int = 180


@dataclass
class AirHandler:
    """Holds a room near its setpoint; the filter clogs."""

    tag: str
    room: str
    setpoint_c: float = 21.0
    room_c: float = 21.0
    filter_pa: float = 120.0


@dataclass
class Inverter:
    """Solar power over the day, with clouds."""

    tag: str
    cloud: float = 0.2
    minute: float = 560.0

    @property
    def power_kw(self) -> float:
        """A half sine from six to eighteen hours."""
        return 15 * max(0.0, math.sin((self.minute - 360) / 720 * math.pi)) * (1 - self.cloud)

    @property
    def string_v(self) -> float:
        """Voltage hardly depends on light."""
        return 590 + 40 * (1 - self.cloud)


@dataclass
class Gateway:
    """The box that carries the messages."""

    host: str
    rssi_dbm: float = -64.0
    uptime_s: float = 83000.0
    lost_frames: int = 0


@dataclass
class Plant:
    """Everything on the site. ``step`` moves it, ``upset`` and ``mend`` change its state."""

    rng: random.Random
    pumps: list[Pump] = field(default_factory=lambda: [Pump("PU-31"), Pump("PU-32", 36.5)])
    tanks: list[Tank] = field(default_factory=lambda: [Tank("T-5"), Tank("T-6", level_pct=41.0)])
    belts: list[Belt] = field(default_factory=lambda: [Belt(4), Belt(9, 62.0, 0.9, 77)])
    air: list[AirHandler] = field(
        default_factory=lambda: [
            AirHandler("AHU-2", "hall C"),
            AirHandler("AHU-6", "packing room", 18.5, 18.7),
        ]
    )
    solar: Inverter = field(default_factory=lambda: Inverter("INV-2"))
    gateway: Gateway = field(default_factory=lambda: Gateway("edge-gw7"))
    cold_room_c: float = 3.6

    def step(self) -> None:
        """One minute of the plant."""
        for pump, tank in zip(self.pumps, self.tanks, strict=True):
            self._turn(pump, tank)
            self._fill(tank, pump)
        for belt in self.belts:
            belt.load_pct = self._drift(belt.load_pct, 50, 4)
            belt.trays += round(belt.speed_ms * MINUTES_A_STEP)
        for unit in self.air:
            unit.room_c = self._drift(unit.room_c, unit.setpoint_c, 0.2)
            unit.filter_pa += self.rng.uniform(0, 1.5)
        self.solar.minute = 360 + (self.solar.minute + MINUTES_A_STEP - 360) % 720
        self.solar.cloud = min(0.9, max(0.0, self._drift(self.solar.cloud, 0.3, 0.08)))
        self.gateway.rssi_dbm = self._drift(self.gateway.rssi_dbm, -64, 2)
        self.gateway.uptime_s += 60 * MINUTES_A_STEP
        self.cold_room_c = self._drift(self.cold_room_c, 3.6, 0.15)

    def upset(self, what: str) -> None:
        """Something goes wrong: ``overfill``, ``overheat``, ``wear``, ``thaw`` or ``fade``."""
        if what == "overfill":
            self.tanks[0].level_pct = self.rng.uniform(95.5, 98.5)
        elif what == "overheat":
            self.pumps[0].bearing_c = self.rng.uniform(97, 109)
        elif what == "wear":
            self.pumps[0].wear = min(1.0, self.pumps[0].wear + self.rng.uniform(0.2, 0.4))
        elif what == "thaw":
            self.cold_room_c = self.rng.uniform(9.2, 12.4)
        else:
            self.gateway.rssi_dbm = self.rng.uniform(-93, -86)
            self.gateway.lost_frames += self.rng.randint(3, 40)

    def mend(self) -> None:
        """Maintenance was done: pump and filters are as new."""
        self.pumps[0].wear = 0.05
        for unit in self.air:
            unit.filter_pa = 110.0

    def _turn(self, pump: Pump, tank: Tank) -> None:
        """The level controller sets the speed; speed and wear set the bearing's warmth."""
        pump.speed_hz = min(50.0, max(20.0, 40 + (tank.level_pct - 60) * 0.4))
        warm_c = HALL_C + pump.current_a * 4 if pump.running else HALL_C
        pump.bearing_c = self._drift(pump.bearing_c, warm_c, 0.6)
        pump.wear = min(1.0, pump.wear + 0.002)

    def _fill(self, tank: Tank, pump: Pump) -> None:
        tank.inflow_lpm = self._drift(tank.inflow_lpm, 300, 15)
        litres = (tank.inflow_lpm - pump.flow_m3h * 1000 / 60) * MINUTES_A_STEP
        tank.level_pct = min(94.0, max(8.0, tank.level_pct + litres / 200))

    def _drift(self, value: float, towards: float, noise: float) -> float:
        """A tenth of the way back, and some noise."""
        return value + (towards - value) / 10 + self.rng.gauss(0, noise)

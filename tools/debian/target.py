"""What a package is for: the Python of a distribution, and an architecture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_agent import __version__

ROOT = Path(__file__).parents[2]
DEB = ROOT / "deb"
"""Maintainer scripts, and the locked requirements of each Python."""

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Debian's name of an architecture → the name in wheels."""

PYTHONS = {
    "3.10": "Ubuntu 22.04, JetPack 6",
    "3.11": "Debian 12, Raspberry Pi OS 12",
    "3.12": "Ubuntu 24.04, JetPack 7",
    "3.13": "Debian 13, Raspberry Pi OS 13",
}
GLIBC = range(35, 16, -1)
"""Versions of glibc (2.x) that wheels may be built for: the oldest here, Ubuntu 22.04, has 2.35."""


@dataclass(frozen=True)
class Target:
    """``python`` as "3.11", ``architecture`` as Debian says it."""

    python: str
    architecture: str

    @property
    def version(self) -> str:
        """Ours, and the Python it is for."""
        return f"{__version__}+py{self.python}"

    @property
    def file_name(self) -> str:
        """By Debian's rule."""
        return f"edge-agent_{self.version}_{self.architecture}.deb"

    @property
    def lock(self) -> Path:
        """The locked requirements."""
        return DEB / f"python{self.python}.txt"

    @property
    def wheel_options(self) -> list[str]:
        """For pip: only wheels that this target can load, wherever pip runs."""
        machine = MACHINES[self.architecture]
        platforms = [*(f"manylinux_2_{minor}_{machine}" for minor in GLIBC)]
        platforms.append(f"manylinux2014_{machine}")
        interpreter = f"cp{self.python.replace('.', '')}"
        return [
            *("--only-binary=:all:", "--implementation", "cp", "--python-version", self.python),
            *(word for abi in (interpreter, "abi3", "none") for word in ("--abi", abi)),
            *(word for platform in platforms for word in ("--platform", platform)),
        ]

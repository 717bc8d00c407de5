"""The Debian package for this architecture: what is in it, and that it works from where it lies.

Installing, upgrading and purging it under systemd is tried by `make vm-test`.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.debian.__main__ import build_package
from tools.debian.target import MACHINES, ROOT, Target

PYTHON = "3.11"
INTERPRETER = Path(f"/usr/bin/python{PYTHON}")
ARCHITECTURES = {machine: name for name, machine in MACHINES.items()}
CLIENTS = {"huggingface_hub", "httpx", "httpx2", "requests", "urllib3", "aiohttp", "hf_xet"}
EPOCH = "1768464000"
UNCOMPRESSED = [f"uses-no-compression-for-{part}-tarball" for part in ("control", "data")]
MODEL = "models/gateway-default/model.onnx"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not installed"),
]


def built(folder: Path) -> Path:
    """The package, uncompressed: the tests need no small one."""
    folder.mkdir()
    return build_package(Target(PYTHON, ARCHITECTURES[platform.machine()]), folder, "none")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", EPOCH)
        return built(tmp_path_factory.mktemp("deb") / "a")


@pytest.fixture(scope="module")
def tree(package: Path) -> Path:
    folder = package.parent / "tree"
    subprocess.run(["dpkg-deb", "-R", str(package), str(folder)], check=True)
    return folder


def dpkg_deb(option: str, package: Path) -> str:
    command = ["dpkg-deb", option, str(package)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_files_lie_where_debian_wants_them(tree: Path) -> None:
    """Program, model, unit, user, configuration, examples; each as it is in this folder."""
    same = {
        "etc/edge-agent/edge-agent.toml": "config/edge-agent.toml",
        "usr/lib/systemd/system/edge-agent.service": "systemd/edge-agent.service",
        "usr/lib/sysusers.d/edge-agent.conf": "systemd/edge-agent.sysusers.conf",
        "usr/lib/tmpfiles.d/edge-agent.conf": "systemd/edge-agent.tmpfiles.conf",
        f"usr/share/edge-agent/{MODEL}": MODEL,
    }
    for there, here in same.items():
        assert (tree / there).read_bytes() == (ROOT / here).read_bytes(), there
    profiles = tree / "usr/share/edge-agent/config/mosquitto.d"
    assert {p.name for p in profiles.iterdir()} == {
        p.name for p in (ROOT / "config/mosquitto.d").iterdir()
    }
    assert (tree / "DEBIAN/conffiles").read_text() == "/etc/edge-agent/edge-agent.toml\n"


def test_every_file_is_roots_and_only_root_can_write_it(package: Path) -> None:
    """Whatever the umask of the building machine."""
    for line in dpkg_deb("--contents", package).splitlines():
        mode, owner = line.split()[:2]
        assert owner == "root/root", line
        assert mode[0] == "l" or mode in {"drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x"}, line
        assert mode[0] != "-" or (mode[3] == "x") == ("/usr/lib/edge-agent/bin/" in line), line


def test_no_client_of_the_internet_is_in_it(tree: Path) -> None:
    """No cloud: also not by a library of a library."""
    (packages,) = (tree / "usr/lib/edge-agent/lib").glob("python*/site-packages")
    assert {p.name for p in packages.iterdir()} & CLIENTS == set()
    assert not list(tree.rglob("__pycache__"))


def test_the_digests_are_those_of_the_files(tree: Path) -> None:
    """`dpkg --verify` tells what was changed on the gateway."""
    lines = (tree / "DEBIAN/md5sums").read_text().splitlines()
    listed = dict(reversed(line.split("  ", 1)) for line in lines)
    files = {p for p in tree.rglob("*") if p.is_file() and not p.is_symlink()}
    wanted = {str(p.relative_to(tree)): p for p in files if "DEBIAN" not in p.parts}
    del wanted["etc/edge-agent/edge-agent.toml"]
    assert listed == {n: hashlib.md5(p.read_bytes()).hexdigest() for n, p in wanted.items()}


def test_it_depends_on_one_python(package: Path) -> None:
    """The libraries in it are compiled for that one."""
    needs = dpkg_deb("--field", package)
    assert f", python{PYTHON}," in needs
    assert "@" not in needs.replace("maintainers@", "")


def test_the_same_sources_give_the_same_bytes(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another folder, at another time, with another umask and time zone."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    old = os.umask(0o077)
    try:
        again = built(package.parents[1] / "b")
    finally:
        os.umask(old)
    assert again.read_bytes() == package.read_bytes()


@pytest.mark.skipif(not INTERPRETER.exists(), reason=f"{INTERPRETER} is not installed")
def test_the_program_works_from_its_own_environment(tree: Path) -> None:
    """Without this folder, without the user's libraries, and without what was left out."""
    home = tree / "usr/lib/edge-agent"
    bundle = tree / "usr/share/edge-agent/models/gateway-default"
    command = [home / "bin/python3", "-I", home / "bin/edge-agent", "infer", "--bundle", bundle]
    shown = subprocess.run(
        [*command, "pump P-101 is leaking"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert json.loads(shown.stdout)["route"]["label"] == "fault"


@pytest.mark.skipif(not INTERPRETER.exists(), reason=f"{INTERPRETER} is not installed")
@pytest.mark.parametrize(
    "module", ["cryptography.hazmat.primitives.asymmetric.ed25519", "zstandard", "llguidance"]
)
def test_its_extras_can_be_loaded(tree: Path, module: str) -> None:
    """On a gateway without the Internet nothing can be added later."""
    python = tree / "usr/lib/edge-agent/bin/python3"
    subprocess.run([python, "-I", "-B", "-c", f"import {module}"], check=True)


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_the_scripts_are_plain_shell(tree: Path, script: str) -> None:
    subprocess.run(["sh", "-n", str(tree / "DEBIAN" / script)], check=True)


@pytest.mark.skipif(not shutil.which("lintian"), reason="lintian is not installed")
def test_lintian_finds_nothing(package: Path) -> None:
    """Neither errors nor warnings, but for those that deb/lintian-overrides explains."""
    command = ["lintian", "--allow-root", "--fail-on", "error,warning"]
    command += ["--suppress-tags", ",".join(UNCOMPRESSED), str(package)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stdout

"""Checks of the group hardware, on recorded machines. What is mended by hand is recorded anew."""

from __future__ import annotations

import pytest

from edge_agent.doctor.finding import Status
from edge_agent.doctor.patient import Patient
from tests.support.machines import again, assert_mended, finding, findings

ERROR, WARNING, OK, SKIPPED = Status.ERROR, Status.WARNING, Status.OK, Status.SKIPPED
THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
VCGENCMD = ".commands/vcgencmd get_throttled"


def put(patient: Patient, name: str, text: str | int) -> None:
    """Changes what a file of the machine says."""
    assert patient.path(name).is_file()
    patient.path(name).write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("name", "board", "cpu"),
    [
        ("pi5", "Raspberry Pi 5 Model B Rev 1.0", "Cortex-A76: dotprod"),
        ("pi4", "Raspberry Pi 4 Model B Rev 1.4", "Cortex-A72: no dotprod, so INT4"),
        ("jetson", "NVIDIA Jetson Orin Nano", "Cortex-A78AE: dotprod"),
        ("vm", "Standard PC (Q35", "QEMU Virtual CPU version 2.5+: the virtual machine hides AVX2"),
    ],
)
def test_what_machine_it_is(
    name: str, board: str, cpu: str, request: pytest.FixtureRequest
) -> None:
    """Its maker's name, and what its processor has for INT4."""
    patient = request.getfixturevalue(name)
    assert finding(patient, "hardware.board").text.startswith(board)
    assert finding(patient, "hardware.cpu").text.startswith(cpu)


def test_a_virtual_machine_that_is_given_its_hosts_processor(vm: Patient) -> None:
    """No warning any more."""
    found = finding(vm, "hardware.cpu")
    assert found.status is WARNING
    assert "`-cpu host`" in (found.fix or "")
    info = vm.path("/proc/cpuinfo")
    info.write_text(info.read_text().replace("lahf_lm", "lahf_lm avx2 avx512_vnni"))
    assert finding(vm, "hardware.cpu").text.endswith("AVX2, AVX512-VNNI")


@pytest.mark.parametrize(
    ("check", "said", "file", "mended"),
    [
        ("hardware.memory", "102 MiB of 1.8 GiB free", "/proc/meminfo", "MemAvailable: 900000 kB"),
        ("hardware.swap", "88 MiB of 100 MiB used", "/proc/meminfo", "SwapTotal: 0 kB"),
        ("hardware.oom", "2 killed for want of memory since boot, 1 of them ours", "/proc/vmstat",
         "oom_kill 0"),
        ("hardware.temperature", "cpu-thermal 81 °C, slows down at 80 °C",
         "/sys/class/thermal/thermal_zone0/temp", "55000"),
        ("hardware.throttled", "now: throttled (0x50005)", VCGENCMD, "throttled=0x0"),
    ],
)  # fmt: skip
def test_a_sick_machine_and_the_same_one_after_the_fix(
    pi4: Patient, check: str, said: str, file: str, mended: str
) -> None:
    """Each reading is found, with what to do; when the machine reads better, it is well."""
    found = finding(pi4, check)
    assert found.status in {WARNING, ERROR}
    assert found.text.startswith(said)
    assert found.fix
    put(pi4, file, mended)
    assert finding(pi4, check).status is OK


def test_a_governor_that_stays_slow(pi4: Patient) -> None:
    """The command, run as printed, sets it for every processor."""
    assert_mended(pi4, "hardware.governor", WARNING, "powersave")
    for file in pi4.glob("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"):
        assert pi4.read(file) == "schedutil"


def test_powersave_of_a_driver_that_scales_by_itself(pi4: Patient) -> None:
    """Is no fault: intel_pstate."""
    for file in pi4.glob("/sys/devices/system/cpu/cpu*/cpufreq/scaling_driver"):
        file.write_text("intel_pstate\n")
    assert finding(pi4, "hardware.governor").status is OK


@pytest.mark.parametrize(
    ("bits", "check", "status", "said"),
    [
        (0x1, "hardware.voltage", ERROR, "under-voltage now"),
        (0x10000, "hardware.voltage", WARNING, "under-voltage since boot"),
        (0x2, "hardware.throttled", ERROR, "clock capped"),
        (0x4, "hardware.throttled", ERROR, "throttled"),
        (0x8, "hardware.throttled", ERROR, "soft temperature limit"),
        (0x20000, "hardware.throttled", WARNING, "since boot: clock capped"),
        (0x40000, "hardware.throttled", WARNING, "since boot: throttled"),
        (0x80000, "hardware.throttled", WARNING, "since boot: above the soft"),
        (0x10000, "hardware.throttled", OK, "never"),
        (0x4, "hardware.voltage", OK, "no under-voltage"),
    ],
)
def test_every_bit_of_the_firmware(
    pi5: Patient, bits: int, check: str, status: Status, said: str
) -> None:
    """Now is an error, since boot a warning; the sysfs file has the number without 0x."""
    put(pi5, THROTTLED, f"{bits:x}")
    found = finding(pi5, check)
    assert found.status is status
    assert said in found.text


def test_the_kernels_under_voltage_alarm(pi5: Patient) -> None:
    """Also where the firmware says nothing."""
    put(pi5, "/sys/class/hwmon/hwmon2/in0_lcrit_alarm", 1)
    pi5.path(THROTTLED).unlink()
    found = finding(pi5, "hardware.voltage")
    assert found.status is ERROR
    assert "power supply" in (found.fix or "")
    put(pi5, "/sys/class/hwmon/hwmon2/in0_lcrit_alarm", 0)
    assert finding(pi5, "hardware.voltage").status is OK


def test_a_firmware_that_only_root_may_ask(pi5: Patient) -> None:
    """It says what root would add."""
    pi5.path(THROTTLED).unlink()
    pi5.is_root = False
    found = finding(pi5, "hardware.throttled")
    assert (found.status, found.wants_root) == (SKIPPED, True)
    pi5.is_root = True
    assert finding(pi5, "hardware.throttled").wants_root is False


def test_a_jetsons_over_current_events(jetson: Patient) -> None:
    """Counted since boot; none is well."""
    found = finding(jetson, "hardware.voltage")
    assert found.status is WARNING
    assert found.text == "momentary over-current: slowed down 27 times since boot"
    put(jetson, "/sys/class/hwmon/hwmon3/oc3_event_cnt", 0)
    mended = finding(jetson, "hardware.voltage")
    assert mended.status is OK
    assert mended.details[0] == "VDD_IN 4.98 V, 5.7 W"


@pytest.mark.parametrize(("event", "said"), [("oc1", "under-voltage"), ("oc2", "average")])
def test_each_kind_of_event(jetson: Patient, event: str, said: str) -> None:
    """Under-voltage and average over-current too."""
    put(jetson, f"/sys/class/hwmon/hwmon3/{event}_event_cnt", 3)
    assert any(said in f.text for f in findings(jetson, "hardware.voltage"))


def test_a_rail_above_its_critical_current(jetson: Patient) -> None:
    """Named by its label."""
    put(jetson, "/sys/class/hwmon/hwmon1/curr2_crit_alarm", 1)
    first, *_ = findings(jetson, "hardware.voltage")
    assert first.status is ERROR
    assert first.text.startswith("VDD_CPU_GPU_CV")


def test_a_jetsons_power_mode_switches_cores_off(jetson: Patient) -> None:
    """More threads than cores is a fault of the configuration: the edit mends it."""
    assert finding(jetson, "hardware.cores").text == "4 of 6 run, power mode 7W"
    text = jetson.config_file.read_text()
    jetson.config_file.write_text(text.replace("threads = 1", "threads = 6"))
    assert_mended(again(jetson), "hardware.cores", WARNING, "but model.threads is 6")


def test_a_sensor_that_cannot_be_read_is_left_out(jetson: Patient) -> None:
    """As those of a Jetson's blocks that are switched off."""
    found = finding(jetson, "hardware.temperature")
    assert found.text == "tj-thermal 51 °C, slows down at 99 °C"
    assert not any("cv0" in line for line in found.details)


def test_a_graphics_processor_is_not_needed(jetson: Patient, pi5: Patient) -> None:
    """It says that the model runs without, and whether the agent could open it."""
    assert "runs on the processor" in finding(jetson, "hardware.gpu").text
    assert finding(pi5, "hardware.gpu").status is SKIPPED


def test_a_machine_without_any_sensor(vm: Patient) -> None:
    """Everything is skipped and says why; nothing crashes."""
    for check in ("temperature", "throttled", "voltage", "governor", "gpu"):
        assert finding(vm, f"hardware.{check}").status is SKIPPED

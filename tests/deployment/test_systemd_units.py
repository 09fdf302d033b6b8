"""The systemd units: valid, confined, and fed by the program itself."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

UNITS = ("laya-uptime-monitor.service", "laya-uptime.service")
PROGRAM = "/opt/laya-uptime/venv/bin/laya-uptime"


def service(path: Path) -> dict[str, list[str]]:
    """Read the [Service] section: a key may be there more than once."""
    _, _, section = path.read_text(encoding="utf-8").partition("\n[Service]\n")
    found: dict[str, list[str]] = {}
    for line in section.partition("\n[")[0].splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("unit", UNITS)
def test_h01_a_unit_leaves_little_exposed(repository: Path, program: Callable[[str], str], unit: str) -> None:
    analyze = program("systemd-analyze")

    done = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", repository / "deploy/systemd" / unit],
        env=os.environ | {"SYSTEMD_COLORS": "0", "SYSTEMD_EMOJI": "0"},
        capture_output=True,
        text=True,
        check=False,
    )

    overall = re.search(r"Overall exposure level for \S+: (\d+\.\d)", done.stdout)
    assert overall is not None, done.stdout + done.stderr
    assert float(overall[1]) <= 1.3


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_to_say_about_a_unit(
    repository: Path, program: Callable[[str], str], tmp_path: Path, unit: str
) -> None:
    analyze = program("systemd-analyze")
    text = (repository / "deploy/systemd" / unit).read_text(encoding="utf-8")
    copy = tmp_path / unit
    # systemd asks whether the programs exist; on this machine neither has to.
    text = text.replace(PROGRAM, sys.executable).replace("/bin/kill", "/bin/true")
    copy.write_text(text, encoding="utf-8")

    done = subprocess.run([analyze, "verify", copy], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("unit", "command"),
    [
        pytest.param(UNITS[0], f"{PROGRAM} watch", id="the three services"),
        pytest.param(UNITS[1], f"{PROGRAM} serve --config /etc/laya-uptime/config.yaml", id="a file"),
    ],
)
def test_a_unit_runs_the_program_of_its_virtual_environment(repository: Path, unit: str, command: str) -> None:
    settings = service(repository / "deploy/systemd" / unit)

    assert settings["ExecStart"] == [command]
    assert (settings["Type"], settings["NotifyAccess"], settings["WatchdogSec"]) == (["notify"], ["main"], ["30"])
    assert (settings["User"], settings["DynamicUser"]) == (["laya"], ["yes"])
    assert (settings["StateDirectory"], settings["LogsDirectory"]) == (["laya-uptime"], ["laya-uptime"])
    assert settings["RestartPreventExitStatus"] == ["2"]
    assert "LAYA_UPTIME_DATA=/var/lib/laya-uptime" in settings["Environment"]


def test_the_monitor_watches_the_documented_addresses_and_logs_into_its_directory(repository: Path) -> None:
    settings = service(repository / "deploy/systemd" / UNITS[0])

    assert settings["Environment"] == [
        "AI_SERVICE_URL=http://localhost:8000",
        "GIBBON_URL=http://localhost:80",
        "PARENT_PORTAL_URL=http://localhost:3000",
        "CHECK_INTERVAL=60",
        "LOG_FILE=/var/log/laya-uptime/uptime_monitoring.log",
        "LAYA_UPTIME_DATA=/var/lib/laya-uptime",
    ]


# PR_SET_MDWE with PR_MDWE_REFUSE_EXEC_GAIN (prctl(2), Linux 6.3): what the unit's filter refuses, the kernel refuses.
REFUSING = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit(99)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_h01_the_program_needs_no_memory_that_can_be_written_and_executed(
    services: dict[str, str], program: Callable[[str], str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSING, program("laya-uptime"), "watch", "--dry-run"],
        cwd=tmp_path,
        env=services | {"LAYA_UPTIME_DATA": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )

    if done.returncode == 99:
        pytest.skip("not run: this kernel cannot refuse memory that is written and executed (Linux 6.3)")
    assert done.returncode == 0, done.stdout + done.stderr

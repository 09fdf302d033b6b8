"""Failpoints: each is in the code, each action works, and a spelling mistake cannot make a kill run green."""

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import laya_uptime
from laya_uptime import failpoints
from laya_uptime.failpoints import POINTS, VARIABLE

SOURCES = Path(laya_uptime.__file__).parent
CALL = re.compile(r"\b(?:fp|pass_by)\(\s*(.*?)\)\n", re.DOTALL)
NAME = re.compile(r'"([a-z_]+\.[a-z_]+)"')


def run(code: str, armed: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    if armed is not None:
        environment[VARIABLE] = armed
    command = [sys.executable, "-c", f"from laya_uptime.failpoints import fp\n{code}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)


def test_the_points_in_the_code_are_those_of_the_list() -> None:
    """None is forgotten and none is dead."""
    passed: set[str] = set()
    for file in SOURCES.rglob("*.py"):
        if file.name == "failpoints.py" or "testing" in file.parts:
            continue
        for call in CALL.findall(file.read_text(encoding="utf-8")):
            passed.update(NAME.findall(call))

    assert passed == set(POINTS)


def test_check_has_ten_points_delivery_eight_and_a_heartbeat_four() -> None:
    paths = ("check", "delivery", "heartbeat")
    assert [sum(point.startswith(f"{path}.") for point in POINTS) for path in paths] == [10, 8, 4]
    assert len(set(POINTS)) == len(POINTS) == 22


def test_an_unarmed_point_does_nothing() -> None:
    assert failpoints._read("") == {}
    assert run("fp('check.before_begin'); print('went on')", None).stdout == "went on\n"


@pytest.mark.parametrize("point", POINTS)
def test_every_point_can_be_armed(point: str) -> None:
    assert list(failpoints._read(f"{point}=kill@3")) == [point]


def test_kill_is_sigkill() -> None:
    ended = run("fp('check.before_begin'); print('went on')", "check.before_begin=kill")

    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "")


def test_term_is_sigterm() -> None:
    ended = run("fp('check.before_begin')\nimport time; time.sleep(20)", "check.before_begin=term")

    assert ended.returncode == -signal.SIGTERM


@pytest.mark.parametrize("name", ["ENOSPC", "EIO", "EROFS"])
def test_errno_raises_that_error(name: str) -> None:
    code = "try:\n    fp('check.before_begin')\nexcept OSError as error:\n    print(error.errno, error.strerror)"

    ended = run(code, f"check.before_begin=errno:{name}")

    number = getattr(errno, name)
    assert ended.stdout == f"{number} {os.strerror(number)}\n"


def test_sleep_waits() -> None:
    code = "import time; began = time.monotonic(); fp('check.before_begin'); print(time.monotonic() - began >= 0.05)"

    assert run(code, "check.before_begin=sleep:0.05").stdout == "True\n"


def test_the_number_picks_one_passage() -> None:
    code = (
        "for number in range(1, 6):\n"
        "    try:\n"
        "        fp('check.before_begin')\n"
        "    except OSError:\n"
        "        print(number)\n"
    )

    assert run(code, "check.before_begin=errno:EIO@3").stdout == "3\n"
    assert run(code, "check.before_begin=errno:EIO").stdout == "1\n2\n3\n4\n5\n"


def test_several_points_are_armed_and_counted_each_for_itself() -> None:
    code = (
        "for point in ('check.before_begin', 'check.after_result', 'check.before_begin', 'check.after_state'):\n"
        "    try:\n"
        "        fp(point)\n"
        "    except OSError as error:\n"
        "        print(point, error.errno)\n"
    )

    ended = run(code, " check.before_begin=errno:EIO@2 , check.after_result=errno:ENOSPC@1,")

    assert ended.stdout == f"check.after_result {errno.ENOSPC}\ncheck.before_begin {errno.EIO}\n"


@pytest.mark.parametrize(
    "armed",
    [
        "check.before_comit=kill",
        "check.before_commit",
        "check.before_commit=",
        "check.before_commit=explode",
        "check.before_commit=kill:now",
        "check.before_commit=term:1",
        "check.before_commit=errno",
        "check.before_commit=errno:ENOSPACE",
        "check.before_commit=errno:errorcode",
        "check.before_commit=sleep",
        "check.before_commit=sleep:soon",
        "check.before_commit=sleep:-1",
        "check.before_commit=sleep:nan",
        "check.before_commit=kill@",
        "check.before_commit=kill@0",
        "check.before_commit=kill@-1",
        "check.before_commit=kill@third",
        "kill",
        "=kill",
        "check.before_commit=kill,check.before_commit=term",
    ],
)
def test_what_is_no_point_or_no_action_is_refused_by_name(armed: str) -> None:
    with pytest.raises(ValueError, match=VARIABLE) as refusal:
        failpoints._read(armed)

    assert armed.partition("=")[0] in str(refusal.value)


def test_a_refusal_ends_the_program_at_its_start() -> None:
    ended = run("print('went on')", "check.before_comit=kill")

    assert ended.returncode != 0
    assert ended.stdout == ""
    assert "unknown failpoint check.before_comit=kill (no such point)" in ended.stderr
    assert "check.before_commit" in ended.stderr  # what could have been meant

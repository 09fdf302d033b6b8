"""What a plug-in's exit says: real programs, good, broken and hostile."""

import asyncio
import os
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Protocol

import pytest

from laya_uptime.adapters.checks.exec import ExecCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.cli.draw import waterfall
from laya_uptime.domain.assertion import parse
from laya_uptime.domain.facts import evidence_of
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import HealthMode, Monitor, Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Observation, Outcome, Result, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.testing.scripted import NoNetwork

CLOCK = SystemClock()
LONG = timedelta(seconds=30)
SHORT = timedelta(milliseconds=500)


class Plugin(Protocol):
    """Writes a program and returns its path."""

    def __call__(self, text: str, name: str = "check_thing") -> str: ...


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    """Write a shell script that can be executed, and return its path."""

    def write(text: str, name: str = "check_thing") -> str:
        file = tmp_path / name
        file.write_text(f"#!/bin/sh\n{dedent(text)}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return str(file)

    return write


async def probe(*command: str, timeout: timedelta = LONG, **environment: str) -> Seen:  # noqa: ASYNC109  the check's own
    check = ExecCheck(command=list(command), environment={name: Secret(value) for name, value in environment.items()})
    return await check.probe(NoNetwork(CLOCK), timeout=timeout)


def observed(seen: Seen) -> Observation:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    return Observation(monitor_id="disk", region="local", due=at, at=at, elapsed=timedelta(milliseconds=9), seen=seen)


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        pytest.param(0, Outcome.UP, None, id="0 is fine"),
        pytest.param(1, Outcome.DEGRADED, Reason.REPORTED_DEGRADED, id="1 is a warning"),
        pytest.param(2, Outcome.DOWN, Reason.REPORTED_UNHEALTHY, id="2 is critical"),
        pytest.param(3, Outcome.UNKNOWN, Reason.INTERNAL, id="3 is unknown"),
    ],
)
async def test_the_exit_code_is_the_verdict_and_the_first_line_its_words(
    plugin: Plugin, code: int, outcome: Outcome, reason: Reason | None
) -> None:
    seen = await probe(plugin(f"echo 'DISK: 91% used | used=91%;80;90'; echo more; exit {code}"))
    verdict = judge(observed(seen), Rules())

    assert (verdict.outcome, verdict.reason) == (outcome, reason)
    assert verdict.detail == ("" if outcome is Outcome.UP else "DISK: 91% used")


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        ("exit 4", Reason.INTERNAL, "the program ended with code 4, which means nothing"),
        ("no_such_command", Reason.INTERNAL, "the program ended with code 127, which means nothing"),
        ("kill -SEGV $$", Reason.INTERNAL, "the program was killed by SIGSEGV"),
        ("exit 3", Reason.INTERNAL, "the program does not know"),
    ],
)
async def test_a_broken_program_is_our_trouble_and_no_outage(
    plugin: Plugin, text: str, reason: Reason, detail: str
) -> None:
    seen = await probe(plugin(text))

    assert isinstance(seen, Failure)
    assert seen.reason is reason
    assert seen.detail.startswith(detail)
    assert judge(observed(seen), Rules()).outcome is Outcome.UNKNOWN


async def test_without_output_the_first_line_of_standard_error_is_told(plugin: Plugin) -> None:
    seen = await probe(plugin("echo 'cannot resolve host' >&2; exit 2"))

    assert judge(observed(seen), Rules()).detail == "cannot resolve host"


@pytest.fixture
def forbidden_plugin(plugin: Plugin) -> str:
    path = plugin("exit 0")
    Path(path).chmod(0o600)
    return path


async def test_a_program_that_is_not_there_is_our_trouble(tmp_path: Path, forbidden_plugin: str) -> None:
    missing = await probe(str(tmp_path / "check_nothing"))
    forbidden = await probe(forbidden_plugin)

    for seen, why in ((missing, "No such file or directory"), (forbidden, "Permission denied")):
        assert isinstance(seen, Failure)
        assert (seen.reason, seen.detail) == (Reason.INTERNAL, f"the program cannot be started: {why}")


async def test_performance_data_can_be_expected(plugin: Plugin) -> None:
    seen = await probe(
        plugin(
            """
            echo "OK - all is well | load1=0.52;4;8;0 'free space'=1.5e3MB;;; 'it''s'=-2 odd=U time=12ms"
            echo "longer text"
            echo "even longer | load5=0.4"
            echo "load15=0.3"
            exit 0
            """
        )
    )

    assert isinstance(seen, Answer)
    assert seen.evidence.report is not None
    assert dict(seen.evidence.report.figures) == {
        "load1": 0.52,
        "free space": 1500.0,
        "it's": -2.0,
        "time": 12.0,
        "load5": 0.4,
        "load15": 0.3,
    }
    assert judge(observed(seen), Rules(expect=(parse('perf["load1"] < 4'),))).outcome is Outcome.UP
    verdict = judge(observed(seen), Rules(prefer=(parse('perf["free space"] > 2000'),)))
    assert (verdict.outcome, verdict.reason) == (Outcome.DEGRADED, Reason.ASSERTION)
    assert verdict.detail == 'expected perf["free space"] > 2000, actual perf["free space"] = 1500.0'
    assert judge(observed(seen), Rules(expect=(parse('perf["odd"] < 4'),))).outcome is Outcome.DOWN
    assert evidence_of(seen.evidence)["figures"] == dict(seen.evidence.report.figures)


async def test_its_output_is_text_that_can_be_expected(plugin: Plugin) -> None:
    seen = await probe(plugin("""echo '{"queue": 3}'"""))

    rules = Rules(expect=(parse("body.queue < 5"), parse('text contains "queue"')))
    assert judge(observed(seen), rules).outcome is Outcome.UP


async def test_no_setting_of_health_can_hide_what_a_program_says(plugin: Plugin) -> None:
    seen = await probe(plugin("exit 2"))

    assert judge(observed(seen), Rules(health=HealthMode.OFF)).outcome is Outcome.DOWN
    assert judge(observed(seen), Rules(expect=(parse("latency < 1h"),))).outcome is Outcome.DOWN


async def test_it_knows_path_and_lang_and_what_it_is_given(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "hush")

    seen = await probe(plugin("env | sort; pwd"), TOKEN="given")

    assert seen.evidence.body is not None
    lines = seen.evidence.body.text.splitlines()
    names = {line.partition("=")[0] for line in lines[:-1]} - {"PWD", "_", "SHLVL", "OLDPWD"}  # the shell's own
    assert names == {"PATH", "LANG", "TOKEN"}
    assert "TOKEN=given" in lines
    assert lines[-1] == "/"


async def test_no_shell_reads_the_arguments(plugin: Plugin) -> None:
    seen = await probe(plugin('printf "%s" "$1"; exit 2'), "$(id); `id` > /dev/null | cat")

    assert seen.evidence.body is not None
    assert seen.evidence.body.text == "$(id); `id` > /dev/null | cat"


def is_running(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def gone(number: int) -> bool:
    for _ in range(500):
        if not is_running(number):
            return True
        await CLOCK.sleep(0.01)
    return False


async def test_at_the_deadline_the_whole_group_is_killed(plugin: Plugin, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers"
    path = plugin(
        f"trap '' TERM INT HUP; sleep 600 & echo $! > {numbers}; echo $$ >> {numbers}; echo so far; sleep 601"
    )

    seen = await probe(path, timeout=SHORT)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail, seen.phase) == (
        Reason.TIMEOUT,
        "the program did not end within 0.5 s",
        "wait",
    )
    assert judge(observed(seen), Rules()).outcome is Outcome.DOWN
    assert seen.evidence.body is not None
    assert seen.evidence.body.text == "so far\n"
    for number in numbers.read_text().split():
        assert await gone(int(number))


async def test_what_it_leaves_in_the_background_ends_with_it_and_is_not_waited_for(
    plugin: Plugin, tmp_path: Path
) -> None:
    number = tmp_path / "number"

    seen = await probe(plugin(f"sleep 600 & echo $! > {number}; echo fine"))

    assert isinstance(seen, Answer)
    assert await gone(int(number.read_text()))


async def test_a_cancelled_check_leaves_no_process(plugin: Plugin, tmp_path: Path) -> None:
    number = tmp_path / "number"
    task = asyncio.create_task(probe(plugin(f"echo $$ > {number}; exec sleep 600")))
    while not (number.exists() and number.read_text().strip()):
        await CLOCK.sleep(0.01)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await gone(int(number.read_text()))


async def test_a_system_that_cannot_tell_of_an_end_is_asked_again_and_again(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")

    fine = await probe(plugin("sleep 0.1; echo fine; exit 1"))
    hanging = await probe(plugin("sleep 600"), timeout=SHORT)

    assert judge(observed(fine), Rules()).detail == "fine"
    assert isinstance(hanging, Failure)
    assert hanging.reason is Reason.TIMEOUT


async def test_a_hanging_program_holds_up_nobody(plugin: Plugin) -> None:
    hanging = asyncio.create_task(probe(plugin("sleep 600", "check_slow"), timeout=timedelta(seconds=60)))

    quick = [await probe(plugin("echo fine")) for _ in range(3)]

    assert not hanging.done()
    assert all(isinstance(seen, Answer) for seen in quick)
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)


async def test_much_output_is_capped(plugin: Plugin) -> None:
    seen = await probe(plugin("head -c 1000000 /dev/zero | tr '\\0' x; exit 1"))

    assert seen.evidence.body is not None
    assert seen.evidence.body.size == 65536
    assert len(judge(observed(seen), Rules()).detail) <= 300


async def test_a_program_that_prints_without_end_is_killed(plugin: Plugin) -> None:
    seen = await probe(plugin("exec yes"))

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.INTERNAL, "the program printed without end and was killed")


async def test_odd_output_is_made_fit_for_one_line(plugin: Plugin) -> None:
    seen = await probe(plugin("printf 'DOWN \\033[31mred\\033[0m \\377 \\342\\200\\256evil | a=1\\n'; exit 2"))
    verdict = judge(observed(seen), Rules())

    assert verdict.detail.isprintable()
    assert verdict.detail.startswith("DOWN")


@pytest.mark.parametrize(
    "data", ["'" * 60000, "a=" * 30000, "'a''" * 15000, "a" * 60000, "=1 " * 20000, "x=" + "9" * 60000]
)
async def test_hostile_performance_data_costs_little(tmp_path: Path, data: str, plugin: Plugin) -> None:
    (tmp_path / "data").write_text(f"OK | {data}")

    async with asyncio.timeout(20):
        seen = await probe(plugin(f"cat {tmp_path / 'data'}"))

    assert isinstance(seen, Answer)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_nothing_is_left_open(plugin: Plugin) -> None:
    path, slow = plugin("echo fine"), plugin("sleep 60", "check_slow")
    await probe(path)
    before = open_files()

    for _ in range(3):
        await probe(path)
        await probe(slow, timeout=timedelta(milliseconds=50))

    assert open_files() == before


def test_a_relative_program_is_found_beside_the_configuration_file(tmp_path: Path) -> None:
    assert ExecCheck(command=["./checks/disk", "-w"]).placed(tmp_path).target == f"exec:{tmp_path}/checks/disk"
    assert ExecCheck(command=["check_load"]).placed(tmp_path).target == "exec:check_load"
    assert ExecCheck(command=["/bin/true", "--token=hush"]).target == "exec:/bin/true"


async def test_a_result_is_drawn_with_its_words_and_figures(plugin: Plugin) -> None:
    seen = await probe(plugin("echo 'LOAD high | load1=9.5'; exit 1"))
    observation = observed(seen)

    drawn = waterfall(
        Monitor(id="load", name="Load", target="exec:check_load"),
        Result(observation=observation, verdict=judge(observation, Rules())),
    )

    assert "LOAD high" in drawn.splitlines()[0]
    assert "  says: LOAD high" in drawn
    assert "  load1 = 9.5" in drawn


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"command": []}, "`command` is empty"),
        ({"command": [" "]}, "`command` is empty"),
        ({"command": ["check_load -w 5"]}, "`command` must be a list of words"),
        ({"command": ["a\0b"]}, "`command` holds a NUL"),
        ({"command": ["a"], "environment": {"A=B": Secret("hush")}}, "`environment` has a name"),
        ({"command": ["a"], "environment": {"A": Secret("hush\0")}}, "`environment` holds a NUL in A"),
    ],
)
def test_what_cannot_be_run_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        ExecCheck(**options)  # type: ignore[arg-type]

    assert said in str(caught.value)
    assert "hush" not in str(caught.value)


async def test_python_itself_can_be_a_program() -> None:
    assert isinstance(await probe(sys.executable, "-c", "print('fine')"), Answer)

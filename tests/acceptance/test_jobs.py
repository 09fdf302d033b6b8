"""Jobs that report by themselves, and groups: the real program, killed and started again, and somebody who is told."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from laya_uptime.testing.ledger import Entry, LedgerSink
from laya_uptime.testing.program import Installation, Program

TOKEN = "a-token-of-a-test-0001"
HEARTBEAT_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "checks" / "heartbeat.md"
Start = Callable[..., Program]


@pytest.fixture
def port() -> Iterator[int]:
    """A port that nobody else gets meanwhile."""
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", 0))
        yield place.getsockname()[1]


@pytest.fixture
def start(laya: Installation, sink: LedgerSink, port: int) -> Start:
    def begin(monitors: str, **variables: str) -> Program:
        path = laya.directory / "jobs.yaml"
        path.write_text(
            f"{monitors}\n"
            f"notify: {{ hook: {{ type: webhook, url: '{sink.url('/webhook')}' }} }}\n"
            f"server: {{ listen: '127.0.0.1:{port}' }}\n",
            encoding="utf-8",
        )
        return laya.start("serve", "--config", path, JOB_TOKEN=TOKEN, **variables)

    return begin


def call(port: int, path: str = "", *, method: str = "POST", body: str = "") -> tuple[int, bytes]:
    """Report, and try again until somebody answers, as curl --retry does."""
    give_up = time.monotonic() + 20
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(method, f"/ping/{TOKEN}{path}", body=body.encode())
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)
        finally:
            connection.close()


def wait_for(path: Path) -> None:
    give_up = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < give_up, f"{path} does not come"
        time.sleep(0.02)


def told(entries: list[Entry]) -> list[str | None]:
    return [entry.transition for entry in entries]


JOB = 'monitors: { job: { heartbeat: 2s, grace: 2s, token: "${JOB_TOKEN}" } }'


def test_a_job_that_falls_silent_is_told_once_and_its_next_report_once(
    start: Start, sink: LedgerSink, port: int
) -> None:
    serving = start(JOB)
    assert call(port) == (200, b"OK")

    late = serving.wait_for(r"✗ job: Late - expected by .*, (\d+) s late")
    serving.wait_for("✗ job: Late", times=3)
    sink.wait_for(1)
    assert call(port, method="GET") == (200, b"OK")
    entries = sink.wait_for(2)
    assert serving.end() == 0

    assert int(late[1]) == 2
    assert told(entries) == told(sink.entries()) == ["down", "recovered"]
    assert TOKEN not in serving.out + serving.err


def test_a_kill_forgets_no_report_and_makes_no_job_late(start: Start, sink: LedgerSink, port: int) -> None:
    job = 'monitors: { job: { heartbeat: 3s, grace: 4s, token: "${JOB_TOKEN}" } }'
    for _ in range(3):
        serving = start(job)
        assert call(port) == (200, b"OK")
        assert serving.end(signal.SIGKILL) == -signal.SIGKILL
    assert sink.entries() == []

    again = start(job)
    began = time.monotonic()
    entries = sink.wait_for(1, seconds=30)
    waited = time.monotonic() - began
    again.end()

    assert told(entries) == ["down"]
    assert waited >= 4.0  # not before a whole grace after it was back
    assert "✗ job: Late" in again.out


def test_a_start_before_a_kill_times_the_end_after_it(start: Start, port: int) -> None:
    job = 'monitors: { job: { heartbeat: 1h, grace: 10m, token: "${JOB_TOKEN}" } }'
    serving = start(job)
    assert call(port, "/start")[0] == 200
    began = time.monotonic()
    serving.end(signal.SIGKILL)

    serving = start(job)
    assert call(port)[0] == 200
    most = (time.monotonic() - began) * 1000 + 1000
    took = serving.wait_for(r"✓ job: up - (\d+)ms")
    serving.end()

    assert 0 < int(took[1]) <= most


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), r"✓ job: up - 0ms"),
        (("--exit-code", "0"), r"✓ job: up - 0ms"),
        (("--fail", "--message", "disk full"), r"   job: disk full"),
        (("--exit-code", "3"), r"   job: exit code 3"),
    ],
)
def test_a_command_on_the_same_machine_reports_without_a_token(
    laya: Installation, start: Start, words: tuple[str, ...], line: str
) -> None:
    serving = start("monitors: { job: { heartbeat: 1h } }")
    serving.wait_for("Data: ")
    wait_for(laya.data / "control.sock")

    done = laya.run("ping", "job", *words)
    serving.wait_for(line)

    assert (done.code, done.out, done.err) == (0, "", "")
    assert (laya.data / "control.sock").stat().st_mode & 0o777 == 0o600
    assert "Signals of jobs" not in serving.out  # without a token nothing is listened on
    serving.end()
    assert not (laya.data / "control.sock").exists()


def test_who_reports_to_nobody_is_told_so(laya: Installation, start: Start) -> None:
    nobody = laya.run("ping", "job")
    serving = start("monitors: { job: { heartbeat: 1h } }")
    wait_for(laya.data / "control.sock")
    misspelt = laya.run("ping", "jbo")
    both = laya.run("ping", "job", "--start", "--fail")
    serving.end(signal.SIGKILL)
    left_behind = laya.run("ping", "job")

    assert (nobody.code, left_behind.code) == (3, 3)
    assert nobody.err.startswith("laya-uptime: no laya-uptime answers at ")
    assert (misspelt.code, misspelt.err) == (2, "laya-uptime: no heartbeat is called 'jbo'. Known: job\n")
    assert both.code == 2


@pytest.mark.parametrize(
    "point", ["heartbeat.parsed", "heartbeat.in_transaction", "heartbeat.committed", "heartbeat.replied"]
)
def test_d01_a_kill_on_the_path_of_a_report_loses_none_that_was_answered(
    laya: Installation, start: Start, port: int, point: str
) -> None:
    job = 'monitors: { job: { heartbeat: 1h, token: "${JOB_TOKEN}" } }'
    passage = 3 if point == "heartbeat.in_transaction" else 2  # the first is that with which one begins to listen
    serving = start(job, LAYA_UPTIME_FAILPOINTS=f"{point}=kill@{passage}")
    assert call(port, "/log", body="first")[0] == 200

    answered = None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", f"/ping/{TOKEN}/log", body=b"second")
        answered = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()
    assert serving.wait() == -signal.SIGKILL

    kept = subprocess.run(
        [sys.executable, "-c", "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT text FROM heartbeat').fetchone()[0])", laya.data / "laya-uptime.db"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert kept == ("first" if point in {"heartbeat.parsed", "heartbeat.in_transaction"} else "second")
    assert answered == (200 if point == "heartbeat.replied" else None)
    serving = start(job)
    assert call(port)[0] == 200
    serving.end()


def test_a_group_follows_its_members(laya: Installation, start: Start, sink: LedgerSink, port: int) -> None:
    serving = start(
        "monitors:\n"
        '  job: { heartbeat: 1h, token: "${JOB_TOKEN}" }\n'
        "  other: { heartbeat: 1h }\n"
        "  both: { members: [job, other] }\n"
    )
    call(port)
    serving.wait_for("✓ both: up")

    call(port, "/fail", body="disk full")
    serving.wait_for(r"both: 0 of 1 pass, 1 must: down: job \(disk full\)")
    entries = sink.wait_for(2)
    serving.end()

    assert sorted(str(entry.service) for entry in entries) == ["both", "job"]
    assert told(entries) == ["down", "down"]


def test_a_port_in_use_is_told_before_anything_begins(start: Start, port: int) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()

        serving = start(JOB)

        assert serving.wait() == 2
    assert f"server.listen: 127.0.0.1:{port} cannot be listened on: Address already in use" in serving.err


@pytest.mark.skipif(shutil.which("curl") is None, reason="not run: there is no curl")
@pytest.mark.parametrize(("script", "line"), [("true", "✓ job: up"), ("exit 4", "   job: exit code 4")])
def test_the_recipe_for_a_crontab_works(start: Start, port: int, script: str, line: str) -> None:
    command = re.search(r"^0 3 \* \* 1-5  (invoices\.sh; curl .*)$", HEARTBEAT_PAGE.read_text("utf-8"), re.MULTILINE)
    assert command is not None
    serving = start('monitors: { job: { heartbeat: 1h, token: "${JOB_TOKEN}" } }')
    serving.wait_for("Signals of jobs")

    done = subprocess.run(
        ["sh", "-c", command[1].replace("invoices.sh", f"(sh -c '{script}')").replace("8484", str(port))],
        env={"PATH": os.environ["PATH"], "TOKEN": TOKEN},
        check=False,
        timeout=60,
    )

    assert done.returncode == 0
    serving.wait_for(line)
    serving.end()

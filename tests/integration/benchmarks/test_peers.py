"""What the product is measured beside does what it is said to do: fresh connections, and answers judged."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from laya_uptime.testing.http_peer import HttpPeer, reply

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
HEALTHY = reply(200, "Content-Type: application/json", body=b'{"status":"healthy"}')
SICK = reply(200, "Content-Type: application/json", body=b'{"status":"sick"}')

Command = list[str]


@pytest.fixture
def c(tmp_path: Path) -> Command:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("not run: cc is not on this machine")
    program = tmp_path / "epoll"
    source = BENCHMARKS / "peers/epoll.c"
    done = subprocess.run([compiler, "-Wall", "-o", program, source], capture_output=True, text=True, check=False)
    if "fatal error" in done.stderr and ".h: No such file" in done.stderr:
        pytest.skip("not run: the headers of the C library are not on this machine")
    assert (done.returncode, done.stderr) == (0, "")
    return [str(program)]


@pytest.fixture
def laya() -> Command:
    return [sys.executable, "-m", "peers.laya"]


@pytest.fixture(params=["c", "laya"])
def peer(request: pytest.FixtureRequest) -> Command:
    command: Command = request.getfixturevalue(request.param)
    return command


async def told(command: Command, *arguments: str, lines: int = 1) -> list[dict[str, int]]:
    """Have a peer check for a moment, so many times, and return what it says each time."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(BENCHMARKS), os.environ.get("PYTHONPATH", "")))}
    process = await asyncio.create_subprocess_exec(
        *command, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    output, _ = await process.communicate(b"0.05\n" * lines)
    ready, *answers = output.decode().splitlines()
    assert (ready, process.returncode) == ("ready", 0)
    return [json.loads(answer) for answer in answers]


async def test_a_peer_opens_a_connection_for_every_check_and_counts_it(peer: Command) -> None:
    async with HttpPeer(answer=HEALTHY) as target:
        did = await told(peer, "3", target.url(), lines=2)

    assert [each["failed"] for each in did] == [0, 0]
    assert all(each["checks"] >= 3 for each in did)
    # Every connection to this target carries one request.
    assert len(target.requests) == sum(each["checks"] for each in did)


@pytest.mark.parametrize("answer", [SICK, reply(500, body=b'{"status":"healthy"}')], ids=["body", "code"])
async def test_a_peer_does_not_pass_what_is_not_healthy(peer: Command, answer: bytes) -> None:
    async with HttpPeer(answer=answer) as target:
        did = await told(peer, "1", target.url())

    assert did[0]["failed"] == did[0]["checks"] > 0


async def test_a_peer_counts_a_connection_that_is_reset_as_failed(peer: Command) -> None:
    async with HttpPeer(reset=True) as target:
        did = await told(peer, "1", target.url())

    assert did[0]["failed"] == did[0]["checks"] > 0


async def test_a_black_hole_accepts_and_keeps_silent() -> None:
    hole = await asyncio.create_subprocess_exec(sys.executable, BENCHMARKS / "peers/hole.py", stdout=subprocess.PIPE)
    assert hole.stdout is not None
    port = int(await hole.stdout.readline())

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)

    writer.close()
    hole.kill()
    await hole.wait()


def test_what_cannot_be_had_is_named_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_programs: Callable[[], None]
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from peers.install import install

    without_programs()
    peers = install(tmp_path, fetch=False)

    assert peers.programs == {}
    assert peers.missing["nginx"] == "nginx is not installed (Debian: nginx-light)"
    assert peers.missing["requests"] == "requests was not installed"
    assert set(peers.missing) == {
        "nginx", "wrk", "blackbox", "c", "c-tls", "requests", "axios", "go", "go-target"
    }  # fmt: skip


@pytest.fixture
def without_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def hide() -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr("peers.install.ADMIN", ())

    return hide

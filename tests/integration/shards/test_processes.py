"""Probe processes in trouble: killed, hung, orphaned, flooded. Nobody is told of a target what is true of us."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from laya_uptime import agent
from laya_uptime.adapters.checks.exec import ExecCheck
from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.shards import process, wire
from laya_uptime.adapters.shards.process import ProcessProbing
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Outcome
from laya_uptime.domain.secret import Secret
from laya_uptime.engine import sharding
from laya_uptime.engine.sharding import Shards
from laya_uptime.errors import ProbingLost
from laya_uptime.ports import Watched
from laya_uptime.testing import RecordingOverseer, a_monitor, a_result, watched
from laya_uptime.testing.probing_contract import PATIENCE, at_work, until
from laya_uptime.testing.services import Services, answers

QUICK = timedelta(milliseconds=200)
LINUX = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="not run: there is no /proc")


class World:
    """Two probe processes and what they hand over."""

    def __init__(self, monitors: list[Watched], *, parts: int = 2, policy: EgressPolicy | None = None) -> None:
        self.overseer = RecordingOverseer()
        self.processes: list[ProcessProbing] = []
        clock = SystemClock()
        anchor = clock.monotonic()

        def make(share: list[Watched]) -> ProcessProbing:
            part = ProcessProbing(share, self.overseer, policy=policy or EgressPolicy(), clock=clock, anchor=anchor)
            self.processes.append(part)
            return part

        self.probing = Shards(monitors, self.overseer, parts=parts, make=lambda share: make(list(share)), clock=clock)

    @property
    def seen(self) -> set[str]:
        return {result.observation.monitor_id for result in self.overseer.results}

    def pid(self, part: int = 0) -> int:
        pid = self.processes[part].pid
        assert pid is not None
        return pid


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def told(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def at(url: str, id_: str, *, every: timedelta) -> Watched:
    return watched(HttpCheck(url=Secret(url)), a_monitor(id_, every=every, timeout="5s"))


def many(services: Services, count: int, *, every: timedelta = QUICK) -> list[Watched]:
    return [at(services.url("gibbon-cms", f"/{place}"), f"shop-{place}", every=every) for place in range(count)]


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding, "FIRST_WAIT", 0.05)


@pytest.mark.usefixtures("no_waits")
async def test_a_process_that_is_killed_is_started_again_and_that_is_told_once(services: Services) -> None:
    world = World(many(services, 20))

    async with at_work(world.probing):
        await until(lambda: len(world.seen) == 20)
        first, other = world.pid(0), world.pid(1)
        os.kill(first, signal.SIGKILL)
        await until(lambda: world.overseer.reliefs)
        world.overseer.results.clear()
        await until(lambda: len(world.seen) == 20)

        assert world.pid(0) != first
        assert world.pid(1) == other
        await until(lambda: world.probing.load.started >= 20)

    [trouble] = world.overseer.troubles
    assert trouble.startswith("Probe process 1 of 2 was killed by SIGKILL, starting it again in 0.05 s")
    assert world.overseer.reliefs == ["Probe process 1 of 2 looks at its monitors again"]
    assert {result.verdict.outcome for result in world.overseer.results} == {Outcome.UP}


@pytest.mark.usefixtures("no_waits")
async def test_a_process_that_hangs_is_killed_and_started_again(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SILENCE", 2)
    monkeypatch.setattr(process, "_LOOK", 1.2)
    world = World(many(services, 4), parts=1)

    async with at_work(world.probing):
        await until(lambda: world.overseer.results)
        hung = world.pid()
        os.kill(hung, signal.SIGSTOP)
        await until(lambda: world.overseer.reliefs)

        assert not is_there(hung)
        assert "said nothing for 2.4 s and was killed" in world.overseer.troubles[0]
        assert world.probing.is_turning(within=timedelta(seconds=10))


async def test_a_process_that_cannot_be_started_is_no_fault_of_any_target(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_MODULE", "laya_uptime.nothing_of_ours")
    world = World(many(services, 1), parts=1)

    with pytest.raises(ProbingLost, match="ended with code 1"):
        await world.processes[0].run()

    assert world.overseer.results == []


async def test_a_new_process_keeps_to_the_phases_of_the_one_before(services: Services) -> None:
    every = timedelta(seconds=1)
    world = World(many(services, 1, every=every), parts=1)

    async with at_work(world.probing):
        await until(lambda: len(world.overseer.results) >= 3)
        before = world.overseer.results[-1].observation.due
        os.kill(world.pid(), signal.SIGKILL)
        world.overseer.results.clear()
        await until(lambda: len(world.overseer.results) >= 3)

    off = (world.overseer.results[-1].observation.due - before) % every
    assert min(off, every - off) < timedelta(milliseconds=20)


@LINUX
async def test_no_secret_is_on_its_command_line_or_in_its_environment(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "s3cret-canary")
    monkeypatch.setenv("LAYA_UPTIME_CONFIG", "s3cret-canary")
    url = services.url("gibbon-cms").replace("http://", "http://user:s3cret-canary@")
    check = HttpCheck(url=Secret(url), headers={"X-Token": Secret("s3cret-canary")})
    world = World([watched(check, a_monitor("shop"))], parts=1)

    async with at_work(world.probing):
        await until(lambda: world.overseer.results)
        shown = b"".join(told(world.pid(), name) for name in ("cmdline", "environ"))

    assert b"s3cret-canary" not in shown
    assert b"laya_uptime.agent" in shown
    assert "X-Token: s3cret-canary" in services.requests["gibbon-cms"][0].decode()
    assert "s3cret-canary" not in repr(world.overseer.results)


async def test_a_ctrl_c_or_a_stop_is_for_the_hub_to_decide(services: Services) -> None:
    world = World(many(services, 1), parts=1)

    async with at_work(world.probing):
        await until(lambda: world.overseer.results)
        os.kill(world.pid(), signal.SIGINT)
        os.kill(world.pid(), signal.SIGTERM)
        world.overseer.results.clear()
        await until(lambda: len(world.overseer.results) > 3)

    assert world.overseer.troubles == []


@LINUX
def test_it_does_not_outlive_a_hub_that_is_killed_nor_do_its_programs(services: Services, tmp_path: Path) -> None:
    program = tmp_path / "sleeps"
    program.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/pids\nexec sleep 60\n")
    program.chmod(0o755)
    hub = textwrap.dedent(f"""
        import asyncio, sys
        from laya_uptime.adapters.checks.exec import ExecCheck
        from laya_uptime.adapters.clock import SystemClock
        from laya_uptime.adapters.shards.process import ProcessProbing
        from laya_uptime.domain.egress import EgressPolicy
        from laya_uptime.testing import RecordingOverseer, a_monitor, watched

        async def main():
            one = watched(ExecCheck(command=[{str(program)!r}]), a_monitor("program", timeout="59s"))
            probing = ProcessProbing([one], RecordingOverseer(), policy=EgressPolicy(), clock=SystemClock(), anchor=0.0)
            run = asyncio.create_task(probing.run())
            while probing.pid is None:
                await SystemClock().sleep(0.01)
            print(probing.pid, flush=True)
            await run

        asyncio.run(main())
    """)
    running = subprocess.Popen([sys.executable, "-c", hub], stdout=subprocess.PIPE, text=True)
    with running:
        assert running.stdout is not None
        shard = int(running.stdout.readline())
        wait_until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text().endswith("\n"))
        sleeper = int((tmp_path / "pids").read_text())
        assert is_there(shard)

        running.kill()

    wait_until(lambda: not is_there(shard) and not is_there(sleeper))


async def test_it_goes_by_the_hub_s_egress_policy() -> None:
    one = watched(HttpCheck(url=Secret("http://169.254.169.254/")), a_monitor("metadata", timeout="1s"))
    closed, opened = World([one], parts=1), World([one], parts=1, policy=EgressPolicy.parse(["169.254.0.0/16"]))

    async with at_work(closed.probing), at_work(opened.probing):
        await until(lambda: closed.overseer.results and opened.overseer.results)

    assert closed.overseer.results[0].verdict.reason is Reason.BLOCKED_BY_POLICY
    assert opened.overseer.results[0].verdict.reason is not Reason.BLOCKED_BY_POLICY


async def test_a_program_that_is_asked_runs_where_it_would_run_without_processes(tmp_path: Path) -> None:
    program = tmp_path / "says"
    program.write_text('#!/bin/sh\necho "OK - $GREETING from $PWD | load=0.5"\n')
    program.chmod(0o755)
    check = ExecCheck(command=[str(program)], environment={"GREETING": Secret("hello")})
    world = World([watched(check, a_monitor("program"))], parts=1)

    async with at_work(world.probing):
        await until(lambda: world.overseer.results)

    [result] = world.overseer.results
    assert result.observation.evidence.report is not None
    assert dict(result.observation.evidence.report.figures) == {"load": 0.5}


async def test_a_check_that_cannot_be_told_to_another_process_is_refused_before_anything_starts() -> None:
    with pytest.raises(wire.WireError, match="the check of shop cannot be written"):
        World([watched(".", a_monitor("shop"))])


class Hub:
    """The other end of an agent in this process, which takes what it says only when asked to."""

    def __init__(self, agent_: agent.Agent, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.agent = agent_
        self.reader = reader
        self.writer = writer

    def say(self, *orders: wire.Order) -> None:
        for order in orders:
            self.writer.write(wire.frame(order))

    async def hear(self, is_enough: Callable[[wire.Report], bool]) -> list[wire.Report]:
        heard: list[wire.Report] = []
        async with asyncio.timeout(PATIENCE):
            while not heard or not is_enough(heard[-1]):
                body = await wire.read_frame(self.reader)
                assert body is not None
                heard.append(wire.read_report(body))
        return heard


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with ours, theirs:
        yield ours, theirs


async def test_when_nobody_takes_results_no_more_checks_are_begun_and_none_is_lost(
    services: Services, sockets: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "ROOM", 20)
    monkeypatch.setattr(agent, "AT_ONCE", 5)
    services.put("gibbon-cms", answers(500, "x" * 500, kind="text/plain"))
    monitors = many(services, 40, every=timedelta(milliseconds=50))
    reader, writer = await asyncio.open_connection(sock=sockets[0], limit=1024)
    one = agent.Agent(*await asyncio.open_connection(sock=sockets[1]), clock=SystemClock())
    sockets[1].setblocking(False)
    one._writer.transport.set_write_buffer_limits(2048)
    hub = Hub(one, reader, writer)
    serving = asyncio.create_task(one.serve())
    hub.say(wire.Hello(0.0, []), wire.Watch(1, [wire.task_of(each) for each in monitors]), wire.Begin())

    async def looks_stand_still() -> None:
        while True:
            before = len(services.looks["gibbon-cms"])
            await SystemClock().sleep(0.5)
            if before and len(services.looks["gibbon-cms"]) == before:
                return

    async with asyncio.timeout(PATIENCE):
        await looks_stand_still()
    held = one._probing
    assert held is not None
    assert held.load.waiting > 0
    stood_at = len(services.looks["gibbon-cms"])
    heard: list[wire.Report] = []
    while sum(len(each.rows) for each in heard if isinstance(each, wire.Batch)) < stood_at + 50:
        heard += await hub.hear(lambda report: isinstance(report, wire.Batch))
    hub.say(wire.Stop(2.0))
    while (body := await wire.read_frame(reader)) is not None:
        heard.append(wire.read_report(body))

    assert await serving == 0
    writer.close()
    rows = [row for each in heard if isinstance(each, wire.Batch) for row in each.rows]
    assert len(rows) == len(services.looks["gibbon-cms"])  # every look was heard of


async def test_what_no_text_can_hold_does_not_stop_the_others(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    reader, writer = await asyncio.open_connection(sock=sockets[0])
    one = agent.Agent(*await asyncio.open_connection(sock=sockets[1]), clock=SystemClock())
    serving = asyncio.create_task(one.serve())
    hub = Hub(one, reader, writer)
    hub.say(wire.Hello(0.0, []))
    await hub.hear(lambda report: isinstance(report, wire.Beat))
    good, bad = a_result("."), a_result("x")
    object.__setattr__(bad.verdict, "detail", "refused \udcff")
    one.seen(good)
    one.seen(bad)
    [batch] = [
        each for each in await hub.hear(lambda report: isinstance(report, wire.Batch)) if isinstance(each, wire.Batch)
    ]
    writer.close()

    assert await serving == 0
    assert [row.verdict.outcome for row in batch.rows] == [good.verdict.outcome, bad.verdict.outcome]
    assert batch.rows[1].verdict.detail == "refused ?"


@pytest.mark.parametrize(
    "said",
    [b"\x00\x00\x00\x01\xc1", b"\xff\xff\xff\xff", wire.frame(wire.Begin()), wire.frame(wire.Relief("no order"))],
    ids=["no message", "too long", "before the greeting", "a report"],
)
async def test_an_agent_that_hears_nonsense_ends_with_a_fault(
    sockets: tuple[socket.socket, socket.socket], said: bytes
) -> None:
    _, writer = await asyncio.open_connection(sock=sockets[0])
    one = agent.Agent(*await asyncio.open_connection(sock=sockets[1]), clock=SystemClock())
    serving = asyncio.create_task(one.serve())

    writer.write(said)

    async with asyncio.timeout(PATIENCE):
        assert await serving == 70
    writer.close()


def test_the_module_says_who_starts_it() -> None:
    done = subprocess.run([sys.executable, "-m", "laya_uptime.agent"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "laya-uptime serve --shards N" in done.stderr


def wait_until(is_so: Callable[[], object]) -> None:
    asyncio.run(until(is_so))

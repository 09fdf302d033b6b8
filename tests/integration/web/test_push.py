"""Reports over HTTP: a real listener on loopback, real sockets, and strangers who mean no good."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.stores.memory import MemoryStore
from laya_uptime.config.load import decode
from laya_uptime.domain.heartbeat import Kind, Signal
from laya_uptime.domain.secret import Secret
from laya_uptime.engine.service import Service, Settings
from laya_uptime.errors import ConfigError
from laya_uptime.ports import Listening, Write
from laya_uptime.testing import NoNetwork, RecordingListener, RecordingWatchdog, TroubledStore
from laya_uptime.web import bounded
from laya_uptime.web.app import application
from laya_uptime.web.listener import Listener
from laya_uptime.web.push import Tokens

TOKEN = "0123456789abcdef-TOKEN"
FILE = f"monitors: {{ job: {{ heartbeat: 1h, token: {TOKEN} }}, quiet: {{ heartbeat: 1h }} }}"


@dataclass
class Answered:
    status: int
    head: str
    body: bytes


@dataclass
class World:
    listener: Listener
    memory: MemoryStore
    store: TroubledStore
    service: Service
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.listener.url.rpartition(":")[2])

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer

    async def call(self, path: str, method: str = "GET", body: bytes = b"", headers: str = "") -> Answered:
        reader, writer = await self.open()
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}{length}Connection: close\r\n\r\n"
        with contextlib.suppress(ConnectionError):
            writer.write(head.encode() + body)
            await writer.drain()
        raw = await reader.read()
        top, _, rest = raw.partition(b"\r\n\r\n")
        return Answered(int(top.split()[1]), top.decode("latin-1").lower(), rest)

    @property
    def heard(self) -> Signal | None:
        return self.memory.pulses["job"].heard


@asynccontextmanager
async def running() -> AsyncIterator[World]:
    clock = SystemClock()
    memory = MemoryStore()
    store = TroubledStore(memory)
    service = Service(
        decode(FILE, source="c.yaml", environ={}).monitors,
        [],
        store=store,
        fallback=MemoryStore(),
        via=NoNetwork(clock),
        clock=clock,
        listener=RecordingListener(),
        watchdog=RecordingWatchdog(),
        settings=Settings(owner="process", local=lambda at: at.astimezone(UTC), chance=lambda: 0.0),
    )
    with contextlib.closing(Listener(("127.0.0.1", 0))) as listener:
        app = application(service.heartbeats)
        service.open("the web listener", lambda: listener.run(app))
        stop = asyncio.Event()
        run = asyncio.create_task(service.run(stop))
        world = World(listener, memory, store, service)
        while True:
            with contextlib.suppress(ConnectionError):
                await world.open()
                break
            await clock.sleep(0.01)
        try:
            yield world
        finally:
            for writer in world.writers:
                writer.close()
            stop.set()
            await run


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_any_usual_method_reports(method: str) -> None:
    async with running() as world:
        answered = await world.call(f"/ping/{TOKEN}", method)

        assert (answered.status, answered.body) == (200, b"" if method == "HEAD" else b"OK")
        assert world.heard is not None
        assert world.heard.kind is Kind.SUCCESS


@pytest.mark.parametrize(
    ("path", "kind", "code"),
    [("/start", Kind.START, None), ("/fail", Kind.FAIL, None), ("/log", Kind.LOG, None), ("/0", Kind.SUCCESS, 0),
     ("/3", Kind.SUCCESS, 3), ("/255", Kind.SUCCESS, 255)],
)  # fmt: skip
async def test_the_end_of_the_address_says_what_happened(path: str, kind: Kind, code: int | None) -> None:
    async with running() as world:
        assert (await world.call(f"/ping/{TOKEN}{path}", "POST", b"two\nlines")).status == 200

        assert world.heard is not None
        assert (world.heard.kind, world.heard.exit_code, world.heard.text) == (kind, code, "two\nlines")


async def test_the_token_may_stand_in_a_header_where_no_log_of_a_proxy_keeps_it() -> None:
    async with running() as world:
        header = f"Authorization: Bearer {TOKEN}\r\n"

        assert (await world.call("/ping", headers=header)).status == 200
        assert (await world.call("/ping/fail", headers=header)).status == 200
        assert world.heard is not None
        assert world.heard.kind is Kind.FAIL
        assert (await world.call("/ping", headers="Authorization: Bearer nobody\r\n")).status == 404


@pytest.mark.parametrize(
    "path",
    ["/", "/ping", "/ping/", "/ping/nobody-has-this-token", f"/ping/{TOKEN}/", f"/ping/{TOKEN}/256", f"/ping/{TOKEN}/-1",
     f"/ping/{TOKEN}/finish", f"/ping/{TOKEN}/start/x", f"//ping/{TOKEN}", f"/ping/{TOKEN.lower()}", "/ping/%00", "/ping/job",
     "/ping/quiet", f"/PING/{TOKEN}", "/ping/%F0%9F%92%A9", f"/./ping/{TOKEN}"],
)  # fmt: skip
async def test_everything_else_is_not_found_and_changes_nothing(path: str) -> None:
    async with running() as world:
        before = dict(world.memory.pulses)

        answered = await world.call(path)

        assert answered.status in {404, 405}
        assert TOKEN.encode() not in answered.body
        assert world.memory.pulses == before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
async def test_other_methods_are_refused(method: str) -> None:
    async with running() as world:
        assert (await world.call(f"/ping/{TOKEN}", method)).status == 405
        assert world.heard is None


async def test_an_answer_says_nothing_of_the_server_and_is_kept_by_nobody() -> None:
    async with running() as world:
        answered = await world.call(f"/ping/{TOKEN}")

        assert "server:" not in answered.head
        for header in ("cache-control: no-store", "referrer-policy: no-referrer", "x-content-type-options: nosniff"):
            assert header in answered.head


async def test_of_a_long_text_ten_kilobytes_are_kept_and_the_report_counts() -> None:
    async with running() as world:
        long = await world.call(f"/ping/{TOKEN}/fail", "POST", b"x" * 5_000_000)

        assert long.status == 200
        assert world.heard is not None
        assert len(world.heard.text) <= 10 * 1024


async def test_the_answer_comes_after_the_report_is_durable() -> None:
    async with running() as world:
        committed: list[int] = []
        commit = world.memory.commit

        async def slow(writes: Sequence[Write], *, seq: int, at: datetime) -> None:
            await SystemClock().sleep(0.3)
            await commit(writes, seq=seq, at=at)
            committed.append(1)

        world.memory.commit = slow  # type: ignore[method-assign]
        before = len(committed)

        assert (await world.call(f"/ping/{TOKEN}")).status == 200

        assert len(committed) > before


async def test_a_report_that_cannot_be_kept_is_answered_with_503_and_when_to_try_again() -> None:
    async with running() as world:
        world.store.fail("no space left on device")

        answered = await world.call(f"/ping/{TOKEN}")
        world.store.heal()

        assert (answered.status, "retry-after: 5" in answered.head) == (503, True)


async def test_r08_a_head_without_end_is_cut_off() -> None:
    async with running() as world:
        reader, writer = await world.open()
        with contextlib.suppress(ConnectionError):
            writer.write(b"GET / HTTP/1.1\r\n")
            for _ in range(40):
                writer.write(b"X-A: " + b"a" * 1000 + b"\r\n")
                await writer.drain()
                await SystemClock().sleep(0.001)

        with contextlib.suppress(ConnectionError):
            assert b"400" in await reader.read()


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST /ping/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
    ],
)
async def test_r08_a_request_that_is_not_whole_in_time_is_torn_down(
    beginning: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "WHOLE_WITHIN", 0.2)
    async with running() as world:
        reader, writer = await world.open()
        writer.write(beginning)

        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(5):
                while await reader.read(1000):
                    pass


async def test_r08_reports_come_through_among_many_connections_that_say_nothing() -> None:
    async with running() as world:
        for _ in range(300):
            _, writer = await world.open()
            writer.write(b"GET /ping/x HTTP/1.1\r\nX")

        answers = await asyncio.gather(*(world.call(f"/ping/{TOKEN}") for _ in range(20)))

        assert {answered.status for answered in answers} == {200}


async def test_an_address_in_use_is_a_mistake_of_the_configuration() -> None:
    with contextlib.closing(Listener(("127.0.0.1", 0))) as first:
        first._socket.listen()
        port = int(first.url.rpartition(":")[2])

        with pytest.raises(ConfigError, match=r"server\.listen: 127\.0\.0\.1:.* cannot be listened on"):
            Listener(("127.0.0.1", port))


def test_tokens_are_not_kept_as_they_are() -> None:
    tokens = Tokens(decode_tokens())

    assert tokens.monitor(TOKEN) == "job"
    assert tokens.monitor(TOKEN[:-1]) is None
    assert TOKEN not in repr(vars(tokens))


def decode_tokens() -> dict[str, Secret]:
    checks = {each.monitor.id: each.check for each in decode(FILE, source="c.yaml", environ={}).monitors}
    return {id_: check.token for id_, check in checks.items() if isinstance(check, Listening) and check.token}

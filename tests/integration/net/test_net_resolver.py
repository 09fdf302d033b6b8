"""Lookups that hang hold up nobody, and no thread outlives its use for long."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net import resolver as resolver_module
from laya_uptime.adapters.net.resolver import ThreadResolver, look_up

CLOCK = SystemClock()


class NameServer:
    """Answers every name but those that begin with "hang", until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, host: str) -> tuple[str, ...]:
        with self._lock:
            self.asked.append(host)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if host.startswith("hang"):
                self.released.wait(60)
            if host.startswith("wrong"):
                raise OSError(-2, "no such name")
            if host.startswith("broken"):
                raise RuntimeError("a bug")
            return ("192.0.2.7",)
        finally:
            with self._lock:
                self.at_once -= 1


@pytest.fixture
def server() -> Iterator[NameServer]:
    """A name server that lets everybody go when the test is over."""
    server = NameServer()
    yield server
    server.released.set()


async def until(condition: object) -> None:
    assert callable(condition)
    while not condition():
        await CLOCK.sleep(0.005)


async def test_every_lookup_asks_anew(server: NameServer) -> None:
    resolve = ThreadResolver(ask=server)

    answers = [await resolve("shop.test") for _ in range(3)]

    assert answers == [("192.0.2.7",)] * 3
    assert server.asked == ["shop.test"] * 3


async def test_a_failed_lookup_raises_what_the_system_said(server: NameServer) -> None:
    with pytest.raises(OSError, match="no such name"):
        await ThreadResolver(ask=server)("wrong.test")


async def test_a_bug_in_a_lookup_is_an_error_and_not_a_hanging_check(server: NameServer) -> None:
    with pytest.raises(OSError, match="lookup failed"):
        await ThreadResolver(ask=server)("broken.test")


async def test_hanging_lookups_hold_up_no_other_name(server: NameServer) -> None:
    resolve = ThreadResolver(ask=server, threads=16, per_name=2)
    hanging = [asyncio.create_task(resolve(f"hang-{n % 5}.test")) for n in range(50)]
    await until(lambda: server.at_once == 10)

    answer = await resolve("shop.test")

    assert answer == ("192.0.2.7",)
    assert not any(task.done() for task in hanging)
    assert server.most_at_once <= 11
    server.released.set()
    assert set(await asyncio.gather(*hanging)) == {("192.0.2.7",)}


async def test_the_number_of_threads_is_bounded(server: NameServer) -> None:
    resolve = ThreadResolver(ask=server, threads=4, per_name=4)
    tasks = [asyncio.create_task(resolve(f"hang-{n}.test")) for n in range(40)]
    await until(lambda: server.at_once == 4)
    await CLOCK.sleep(0.02)

    assert server.most_at_once == 4
    server.released.set()
    await asyncio.gather(*tasks)
    assert server.most_at_once == 4


async def test_a_lookup_that_nobody_waits_for_any_more_is_not_made(server: NameServer) -> None:
    resolve = ThreadResolver(ask=server, threads=1)
    first = asyncio.create_task(resolve("hang.test"))
    await until(lambda: server.at_once == 1)
    given_up = asyncio.create_task(resolve("given-up.test"))
    await CLOCK.sleep(0)
    given_up.cancel()
    last = asyncio.create_task(resolve("last.test"))
    await CLOCK.sleep(0)

    server.released.set()
    await asyncio.gather(first, last)

    assert server.asked == ["hang.test", "last.test"]


async def test_a_lookup_that_ends_after_its_check_disturbs_nobody(server: NameServer) -> None:
    resolve = ThreadResolver(ask=server)
    task = asyncio.create_task(resolve("hang.test"))
    await until(lambda: server.at_once == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    server.released.set()
    await until(lambda: server.at_once == 0)

    assert await resolve("shop.test") == ("192.0.2.7",)


async def test_idle_threads_go_home(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "_LINGER", 0.01)
    before = threading.active_count()
    resolve = ThreadResolver(ask=server)
    await asyncio.gather(*(resolve(f"shop-{n}.test") for n in range(20)))

    await until(lambda: threading.active_count() <= before)

    assert await resolve("shop.test") == ("192.0.2.7",)


def test_a_loop_that_is_gone_gets_no_answer_and_no_error(server: NameServer) -> None:
    resolve = ThreadResolver(ask=server)

    async def give_up() -> None:
        task = asyncio.create_task(resolve("hang.test"))
        while not server.at_once:
            await CLOCK.sleep(0.005)
        task.cancel()

    asyncio.run(give_up())
    server.released.set()

    assert asyncio.run(_ask(resolve)) == ("192.0.2.7",)


async def _ask(resolve: ThreadResolver) -> tuple[str, ...]:
    return await resolve("shop.test")


async def test_a_machine_without_threads_is_our_trouble(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolve = ThreadResolver(ask=server)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(OSError, match="no thread for a lookup"):
            await resolve("shop.test")

    assert await resolve("shop.test") == ("192.0.2.7",)


def test_the_system_knows_localhost() -> None:
    assert set(look_up("localhost")) <= {"127.0.0.1", "::1"}


HANGING = """
import asyncio, threading
from laya_uptime.adapters.net.resolver import ThreadResolver

async def main():
    resolve = ThreadResolver(ask=lambda host: threading.Event().wait(600))
    try:
        await asyncio.wait_for(resolve("hang.test"), 0.1)
    except TimeoutError:
        print("gave up")

asyncio.run(main())
"""


def test_a_hanging_lookup_does_not_hold_up_the_end_of_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout == "gave up\n"

"""Who waits for sockets and deadlines: by epoll, and by the loop's own selector where there is none."""

import asyncio
import select
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any, cast

import pytest

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net import dialer
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.adapters.net.poll import BUCKET, EpollPoll, LoopPoll, _Alarms, make_poll
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.result import Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import READABLE, WRITABLE, Poll
from laya_uptime.testing.target import Peer, ScriptedTarget

CLOCK = SystemClock()
PATIENCE = timedelta(seconds=10)
KINDS = [
    pytest.param(
        EpollPoll, id="epoll", marks=pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")
    ),
    pytest.param(LoopPoll, id="selector"),
]


@pytest.fixture(params=KINDS)
async def poll(request: pytest.FixtureRequest) -> AsyncIterator[Poll]:
    poll = request.param(asyncio.get_running_loop())
    yield poll
    poll.close()
    poll.close()


@pytest.fixture
def pairs() -> Iterator[Callable[[], tuple[socket.socket, socket.socket]]]:
    """Make connected pairs, non-blocking."""
    made: list[socket.socket] = []

    def pair() -> tuple[socket.socket, socket.socket]:
        both = socket.socketpair()
        for sock in both:
            sock.setblocking(False)
        made.extend(both)
        return both

    yield pair
    for sock in made:
        sock.close()


Pairs = Callable[[], tuple[socket.socket, socket.socket]]


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await CLOCK.sleep(0)


async def test_a_socket_tells_that_it_can_be_written_and_later_that_something_came(poll: Poll, pairs: Pairs) -> None:
    ours, theirs = pairs()
    heard: list[int] = []
    poll.watch(ours.fileno(), heard.append)
    await turns()
    assert any(events & WRITABLE for events in heard)
    heard.clear()

    theirs.send(b"x")
    await turns(1)
    await turns(1)

    assert any(events & READABLE for events in heard)


async def test_what_came_before_it_was_watched_is_told_too(poll: Poll, pairs: Pairs) -> None:
    ours, theirs = pairs()
    theirs.send(b"x")
    heard: list[int] = []
    poll.watch(ours.fileno(), heard.append)
    await turns()

    assert any(events & READABLE for events in heard)


async def test_a_new_handler_takes_the_place_of_the_last(poll: Poll, pairs: Pairs) -> None:
    ours, theirs = pairs()
    first: list[int] = []
    second: list[int] = []
    poll.watch(ours.fileno(), first.append)
    await turns()
    first.clear()
    poll.watch(ours.fileno(), second.append)
    theirs.send(b"x")
    await turns()

    assert first == []
    assert any(events & READABLE for events in second)


async def test_nobody_hears_of_a_socket_that_is_forgotten_until_it_is_watched_again(poll: Poll, pairs: Pairs) -> None:
    ours, theirs = pairs()
    heard: list[int] = []
    poll.watch(ours.fileno(), heard.append)
    await turns()
    heard.clear()
    poll.forget(ours.fileno())
    poll.forget(ours.fileno())
    theirs.send(b"x")
    await turns()
    assert heard == []

    poll.watch(ours.fileno(), heard.append)
    await turns()

    assert any(events & READABLE for events in heard)


def until_it_blocks(move: Callable[[], object]) -> None:
    with suppress(BlockingIOError):
        while True:
            move()


async def test_a_full_socket_tells_when_there_is_room_again(poll: Poll, pairs: Pairs) -> None:
    ours, theirs = pairs()
    heard: list[int] = []
    poll.watch(ours.fileno(), heard.append)
    await turns()
    until_it_blocks(lambda: ours.send(b"x" * 65536))
    poll.wait_to_write(ours.fileno(), heard.append)
    await turns()
    heard.clear()
    until_it_blocks(lambda: theirs.recv(65536))
    await turns()

    assert any(events & WRITABLE for events in heard)


async def test_a_number_that_is_closed_and_given_out_again_in_one_turn_hears_nothing_of_its_predecessor(
    poll: Poll, pairs: Pairs
) -> None:
    """Two sockets are ready; whoever is called first closes the other and opens a third, which gets its number."""
    watched = [pairs() for _ in range(2)]
    calls: list[int] = []
    late: list[int] = []
    third: list[socket.socket] = []
    same: list[bool] = []

    def handler(index: int) -> Callable[[int], None]:
        def ready(events: int) -> None:
            calls.append(index)
            if third or not events & READABLE:
                return
            other = watched[1 - index][0]
            number = other.fileno()
            poll.closing(number)
            other.close()
            ours, theirs = pairs()
            third.extend((ours, theirs))
            same.append(number in {ours.fileno(), theirs.fileno()})
            poll.watch(number, late.append)

        return ready

    for index, (ours, _) in enumerate(watched):
        poll.watch(ours.fileno(), handler(index))
    await turns()
    calls.clear()
    for _, theirs in watched:
        theirs.send(b"x")
    await turns()

    assert same == [True]
    assert len(set(calls)) == 1
    assert late  # it can be written
    assert not any(events & READABLE for events in late)

    later = next(sock for sock in third if sock.fileno() != _watched(third, late, poll))
    later.send(b"x")
    await turns()
    assert any(events & READABLE for events in late)


def _watched(third: list[socket.socket], late: list[int], poll: Poll) -> int:
    """The number of the third that is watched: the one that is not is its peer."""
    del late
    numbers = {sock.fileno() for sock in third}
    known = set(poll._handlers) if isinstance(poll, EpollPoll) else set(cast("LoopPoll", poll)._watched)
    (number,) = numbers & known
    return number


async def test_a_handler_that_fails_keeps_nobody_else_from_what_is_his(poll: Poll, pairs: Pairs) -> None:
    """Events of epoll come once: what is lost here would be an outage that was none."""
    troubles: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    watched = [pairs() for _ in range(3)]
    told: list[int] = []

    def handler(index: int) -> Callable[[int], None]:
        def ready(events: int) -> None:
            if not events & READABLE:
                return
            watched[index][0].recv(10)
            told.append(index)
            raise ZeroDivisionError

        return ready

    for index, (ours, _) in enumerate(watched):
        poll.watch(ours.fileno(), handler(index))
    await turns()
    for _, theirs in watched:
        theirs.send(b"x")
    await turns()

    assert sorted(told) == [0, 1, 2]
    assert [type(each["exception"]) for each in troubles] == [ZeroDivisionError] * 3


class StillLoop:
    """The part of a loop that alarms need, with a time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.01
        self.timers: list[tuple[float, Callable[[], None], Timer]] = []
        self.troubles: list[dict[str, Any]] = []
        self.rung = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> "Timer":
        timer = Timer()
        self.timers.append((when, callback, timer))
        return timer

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.troubles.append(context)

    def move(self, seconds: float) -> None:
        """Let the time pass, and every timer ring at its own instant."""
        until = self.now + seconds
        while due := [each for each in self.timers if not each[2].is_cancelled and each[0] <= until]:
            first = min(due, key=lambda each: each[0])
            self.timers.remove(first)
            self.now = max(first[0], self.now)
            self.rung += 1
            first[1]()
        self.now = until

    @property
    def pending(self) -> int:
        return sum(not timer.is_cancelled for _, __, timer in self.timers)


class Timer:
    is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


@pytest.fixture
def loop() -> StillLoop:
    return StillLoop()


@pytest.fixture
def alarms(loop: StillLoop) -> _Alarms:
    return _Alarms(cast("asyncio.AbstractEventLoop", loop))


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.049, 0.05, 0.051, 0.3, 1.0, 10.0])
def test_an_alarm_never_rings_early_and_at_most_a_bucket_late(seconds: float, loop: StillLoop, alarms: _Alarms) -> None:
    rang: list[float] = []
    began = loop.now
    alarms.set(seconds, lambda: rang.append(loop.now))
    loop.move(seconds + 2 * BUCKET)

    (at,) = rang
    assert began + seconds <= at <= began + seconds + BUCKET + 1e-9
    assert loop.pending == 0


def test_alarms_of_one_bucket_share_a_timer_and_all_ring(loop: StillLoop, alarms: _Alarms) -> None:
    rang: list[int] = []
    for number in range(1000):
        alarms.set(1 + number / 100_000, lambda number=number: rang.append(number))  # type: ignore[misc]
    assert loop.pending == 1
    loop.move(2)

    assert sorted(rang) == list(range(1000))
    assert loop.rung == 1


def test_an_alarm_that_is_taken_back_does_not_ring(loop: StillLoop, alarms: _Alarms) -> None:
    rang: list[str] = []
    first = alarms.set(1, lambda: rang.append("first"))
    alarms.set(1, lambda: rang.append("second"))
    alarms.take_back(first)
    alarms.take_back(first)
    alarms.take_back(12345)
    loop.move(2)

    assert rang == ["second"]


def test_one_alarm_may_take_back_another_of_the_same_instant_and_set_new_ones(loop: StillLoop, alarms: _Alarms) -> None:
    rang: list[str] = []
    numbers: dict[str, int] = {}

    def ring(name: str, other: str) -> None:
        rang.append(name)
        alarms.take_back(numbers[other])
        alarms.set(0, lambda: rang.append("next"))

    numbers["a"] = alarms.set(1, lambda: ring("a", "b"))
    numbers["b"] = alarms.set(1, lambda: ring("b", "a"))
    loop.move(3)

    assert len(rang) == 2
    assert rang[1] == "next"


def test_an_earlier_alarm_comes_first_whenever_it_was_set(loop: StillLoop, alarms: _Alarms) -> None:
    rang: list[str] = []
    alarms.set(10, lambda: rang.append("late"))
    alarms.set(1, lambda: rang.append("early"))
    alarms.set(5, lambda: rang.append("middle"))
    loop.move(20)

    assert rang == ["early", "middle", "late"]


def test_many_that_are_taken_back_leave_nothing_behind(loop: StillLoop, alarms: _Alarms) -> None:
    for number in [alarms.set(10 + each % 7, lambda: None) for each in range(10_000)]:
        alarms.take_back(number)
    loop.move(30)

    assert loop.rung == 1  # to find that all of them are gone
    assert (alarms._buckets, alarms._where, loop.pending) == ({}, {}, 0)


def test_an_alarm_that_fails_keeps_no_other_from_ringing(loop: StillLoop, alarms: _Alarms) -> None:
    rang: list[float] = []
    alarms.set(1, lambda: rang.append(1 / 0))
    alarms.set(1, lambda: rang.append(1))
    alarms.set(2, lambda: rang.append(2))
    loop.move(3)

    assert sorted(rang) == [1, 2]
    assert [type(each["exception"]) for each in loop.troubles] == [ZeroDivisionError]


async def test_alarms_ring_in_a_real_loop(poll: Poll) -> None:
    loop = asyncio.get_running_loop()
    over: asyncio.Future[float] = loop.create_future()
    began = loop.time()
    poll.alarm(0.06, lambda: over.set_result(loop.time()))
    silenced = poll.alarm(0.01, lambda: over.set_exception(AssertionError("it was taken back")))
    poll.silence(silenced)

    assert await over >= began + 0.06 - 0.002  # the loop's timers may come a hair early


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")
async def test_epoll_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_poll(asyncio.get_running_loop())
    first.close()
    monkeypatch.delattr(select, "epoll")
    second = make_poll(asyncio.get_running_loop())
    second.close()

    assert (type(first), type(second)) == (EpollPoll, LoopPoll)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_peer_that_has_much_to_say_leaves_the_others_their_turns(
    kind: type[EpollPoll | LoopPoll], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most eight times the room of the poll is read before the loop goes on."""
    room, size = 1024, 64 << 10
    monkeypatch.setattr(dialer, "make_poll", kind)
    reach = GuardedDialer(clock=CLOCK, policy=EgressPolicy())
    reach.poll.view = memoryview(bytearray(room))
    trails: list[ExchangeTrail] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        await peer.gone()

    async with ScriptedTarget(script) as target:
        told: list[Seen] = []
        ready = HttpCheck(url=Secret(target.url())).prepare(reach)
        looking = ready.begin(PATIENCE, told.append)
        trails.append(looking._trail)
        heights = [0]
        while not told:
            await CLOCK.sleep(0)
            heights.append(len(trails[0].body))

    assert heights[-1] == size
    steps = [after - before for before, after in pairwise(heights)]
    assert max(steps) <= 2 * 8 * room  # an event and the rest of the last one may meet in one turn

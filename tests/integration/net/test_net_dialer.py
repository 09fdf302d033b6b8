"""The dialer on real sockets: every family, every refusal, and nothing left behind."""

import asyncio
import errno
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net import dialer, race
from laya_uptime.adapters.net.dialer import GuardedDialer, has_route
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Failure
from laya_uptime.ports import Fault, Purpose, Reach
from laya_uptime.testing.target import Peer, ScriptedTarget

CLOCK = SystemClock()


def a_dialer(
    *addresses: str, error: OSError | None = None, online: bool = True, allow: tuple[str, ...] = ()
) -> GuardedDialer:
    """A dialer whose every name has these addresses."""

    async def resolve(name: str) -> tuple[str, ...]:
        if error is not None:
            raise error
        return addresses

    return GuardedDialer(clock=CLOCK, policy=EgressPolicy.parse(allow), resolver=resolve, is_online=lambda: online)


async def failure(work: Awaitable[object]) -> Failure:
    with pytest.raises(Fault) as caught:
        await work
    return caught.value.failure


async def echo(peer: Peer) -> None:
    while data := await peer.receive():
        await peer.send(data)


def sockets() -> int:
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except OSError:  # the one that lists them
            continue
    return sum(link.startswith("socket:") for link in links)


@pytest.fixture
def no_socket_left() -> Iterator[None]:
    """Fail a test that leaves more sockets open than it found."""
    before = sockets()
    yield
    assert sockets() <= before


has_ipv6 = pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")


async def test_a_connection_carries_what_was_seen_on_the_way() -> None:
    async with ScriptedTarget(echo) as target:
        reach: Reach = a_dialer("127.0.0.1")
        connection = await reach.connect("Name.TEST", target.port, purpose=Purpose.CHECK)
        await connection.send(b"hello")
        heard = await connection.receive()
        connection.close()
        connection.close()

    assert heard == b"hello"
    assert (connection.address, connection.addresses, connection.tls) == ("127.0.0.1", ("127.0.0.1",), None)
    assert [step for step, _ in connection.phases.reached()] == ["dns", "connect"]


async def test_a_literal_address_needs_no_lookup() -> None:
    async with ScriptedTarget(echo) as target:
        connection = await a_dialer(error=OSError("never asked")).connect("127.1", target.port, purpose=Purpose.CHECK)
        connection.close()

    assert connection.phases.dns is None


@has_ipv6
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("order", [("::1", "127.0.0.1"), ("127.0.0.1", "::1")])
async def test_a_service_on_one_family_only_is_found(host: str, order: tuple[str, ...]) -> None:
    async with ScriptedTarget(echo, host=host) as target:
        connection = await a_dialer(*order).connect("localhost", target.port, purpose=Purpose.CHECK)
        connection.close()

    assert (connection.address, set(connection.addresses)) == (host, set(order))


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port of 127.0.0.2 that leaves every connection hanging: its queue is full and nobody takes from it."""
    listener = socket.socket()
    listener.bind(("127.0.0.2", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.2", port))
        fillers.append(filler)
    yield port
    for sock in (*fillers, listener):
        sock.close()


@pytest.mark.usefixtures("no_socket_left")
async def test_an_address_that_hangs_does_not_hold_up_the_next(silent_port: int) -> None:
    async with ScriptedTarget(echo, port=silent_port) as target:
        reach = a_dialer("127.0.0.2", "127.0.0.1")
        connection = await reach.connect("two.test", target.port, purpose=Purpose.CHECK)
        connection.close()

    assert connection.address == "127.0.0.1"
    assert connection.phases.connect is not None
    assert connection.phases.connect >= timedelta(seconds=0.2)  # the head start of the first, RFC 8305


@pytest.mark.usefixtures("no_socket_left")
@pytest.mark.parametrize("addresses", [("127.0.0.2",), ("127.0.0.2", "127.0.0.2"), ("127.0.0.2", "::1", "127.0.0.2")])
async def test_a_cancelled_connect_leaves_nothing(silent_port: int, addresses: tuple[str, ...]) -> None:
    trail = ExchangeTrail(CLOCK)
    reach = a_dialer(*addresses)
    work = asyncio.create_task(reach.connect("slow.test", silent_port, purpose=Purpose.CHECK, trail=trail))
    while trail.phase != "connect":
        await CLOCK.sleep(0)
    await CLOCK.sleep(0.3)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)

    assert work.cancelled()
    assert trail.phase == "connect"
    assert trail.addresses[0] == "127.0.0.2"


@pytest.mark.usefixtures("no_socket_left")
async def test_two_that_connect_in_the_same_moment_leave_one() -> None:
    reach = a_dialer()
    over: list[socket.socket | None] = []
    async with ScriptedTarget(echo) as target:
        places = [race.target(ip_address(f"127.0.0.{number}"), target.port) for number in (1, 2, 3)]
        contest = race.Race(places, poll=reach.poll, clock=CLOCK, done=lambda sock, _address, _error: over.append(sock))
        contest.start()
        contest._next()
        contest._next()  # all three are on their way now, and loopback answers at once
        while not over:
            await CLOCK.sleep(0.001)

        assert len(over) == 1
        assert over[0] is not None
        assert [each.cause for each in contest.attempted] == ["", "no answer by then", "no answer by then"]
        reach.poll.forget(over[0].fileno())
        over[0].close()


async def test_nobody_listening_is_refused() -> None:
    seen = await failure(a_dialer("127.0.0.1").connect("localhost", 1, purpose=Purpose.CHECK))

    assert (seen.reason, seen.detail) == (Reason.REFUSED, "Connection refused")
    assert seen.evidence.addresses == ("127.0.0.1",)
    assert seen.evidence.phases.connect is not None


@pytest.mark.parametrize("order", [("127.0.0.1", "2001:db8::1"), ("2001:db8::1", "127.0.0.1")])
async def test_of_two_errors_the_more_telling_is_shown(order: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    begin = race.begin

    def no_route_beyond_loopback(towards: race.Target) -> socket.socket:
        if towards.address == "2001:db8::1":
            raise OSError(errno.ENETUNREACH, "")
        return begin(towards)

    monkeypatch.setattr(race, "begin", no_route_beyond_loopback)
    seen = await failure(a_dialer(*order).connect("two.test", 1, purpose=Purpose.CHECK))

    assert seen.reason is Reason.REFUSED


ERRORS = [
    (errno.ECONNREFUSED, True, Reason.REFUSED, "Connection refused"),
    (errno.ECONNRESET, True, Reason.RESET, "Connection reset by peer"),
    (errno.EPIPE, True, Reason.RESET, "Connection reset by peer"),
    (errno.ETIMEDOUT, True, Reason.TIMEOUT, "Connection timed out"),
    (errno.EHOSTUNREACH, True, Reason.UNREACHABLE, "No route to host"),
    (errno.EHOSTUNREACH, False, Reason.UNREACHABLE, "No route to host"),
    (errno.ENETUNREACH, True, Reason.UNREACHABLE, "Network is unreachable"),
    (errno.ENETUNREACH, False, Reason.PROBE_OFFLINE, "this machine has no network"),
    (errno.ENETDOWN, False, Reason.PROBE_OFFLINE, "this machine has no network"),
    (errno.EMFILE, True, Reason.INTERNAL, "too many open files"),
    (errno.ENFILE, True, Reason.INTERNAL, "too many open files on this machine"),
    (errno.ENOMEM, True, Reason.INTERNAL, "out of memory"),
    (errno.ENOBUFS, True, Reason.INTERNAL, "out of network buffers"),
    (errno.EADDRNOTAVAIL, True, Reason.INTERNAL, "no free local port"),
    (errno.EPERM, True, Reason.INTERNAL, "this machine does not permit the connection"),
    (errno.EACCES, True, Reason.INTERNAL, "this machine does not permit the connection"),
    (errno.EIO, True, Reason.INTERNAL, "unexpected system error (EIO)"),
    (errno.ENOSPC, False, Reason.INTERNAL, "unexpected system error (ENOSPC)"),
]


@pytest.mark.parametrize(("number", "online", "reason", "detail"), ERRORS)
async def test_r10_each_system_error_is_the_targets_or_ours(
    number: int, online: bool, reason: Reason, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(towards: race.Target) -> socket.socket:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(dialer, "begin", fail)
    seen = await failure(a_dialer(online=online).connect("127.0.0.1", 80, purpose=Purpose.CHECK))

    assert (seen.reason, seen.detail) == (reason, detail)
    assert seen.phase == ("connect" if reason is Reason.TIMEOUT else None)


@pytest.mark.parametrize(
    ("error", "online", "reason", "detail"),
    [
        (socket.gaierror(socket.EAI_NONAME, ""), True, Reason.DNS, "no such name: shop.test"),
        (socket.gaierror(socket.EAI_NODATA, ""), True, Reason.DNS, "no such name: shop.test"),
        (socket.gaierror(socket.EAI_NONAME, ""), False, Reason.DNS, "no such name: shop.test"),
        (socket.gaierror(socket.EAI_AGAIN, ""), True, Reason.DNS, "name server did not answer for shop.test"),
        (socket.gaierror(socket.EAI_AGAIN, ""), False, Reason.PROBE_OFFLINE, "this machine has no network"),
        (socket.gaierror(socket.EAI_FAIL, ""), True, Reason.DNS, "name server failed for shop.test"),
        (socket.gaierror(socket.EAI_MEMORY, ""), True, Reason.INTERNAL, "out of memory while looking up shop.test"),
        (OSError(errno.EMFILE, ""), True, Reason.INTERNAL, "too many open files while looking up shop.test"),
        (OSError(errno.ECONNREFUSED, ""), True, Reason.DNS, "the lookup of shop.test failed"),
    ],
)
async def test_each_failed_lookup_has_its_cause(error: OSError, online: bool, reason: Reason, detail: str) -> None:
    seen = await failure(a_dialer(error=error, online=online).connect("shop.test", 80, purpose=Purpose.CHECK))

    assert (seen.reason, seen.detail) == (reason, detail)
    assert seen.evidence.phases.dns is not None


async def test_a_name_without_an_address_is_a_dns_fault() -> None:
    seen = await failure(a_dialer().connect("empty.test", 80, purpose=Purpose.CHECK))

    assert (seen.reason, seen.detail) == (Reason.DNS, "no address for empty.test")


@pytest.mark.parametrize("host", ["", "a b", "-x", "host/..", "[::1", "1.2.3.4.5"])
async def test_what_is_no_host_is_a_dns_fault(host: str) -> None:
    seen = await failure(a_dialer("127.0.0.1").connect(host, 80, purpose=Purpose.CHECK))

    assert seen.reason is Reason.DNS


async def test_the_system_knows_no_invalid_name() -> None:
    seen = await failure(
        GuardedDialer(clock=CLOCK, policy=EgressPolicy()).connect("nope.invalid", 80, purpose=Purpose.CHECK)
    )

    assert seen.reason in {Reason.DNS, Reason.PROBE_OFFLINE}
    assert "gaierror" not in seen.detail
    assert "Errno" not in seen.detail


async def test_r10_without_file_descriptors_nobody_else_is_down() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    reach = GuardedDialer(clock=CLOCK, policy=EgressPolicy())
    with socket.socket() as lowest:
        limit = lowest.fileno()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        by_address = await failure(reach.connect("127.0.0.1", 1, purpose=Purpose.CHECK))
        by_name = await failure(reach.connect("name.invalid", 1, purpose=Purpose.CHECK))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert (by_address.reason, by_address.detail) == (Reason.INTERNAL, "too many open files")
    assert (by_name.reason, by_name.detail) == (Reason.INTERNAL, "too many open files while looking up name.invalid")


OFFLINE = """
import asyncio
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer, has_route
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.ports import Fault, Purpose

async def look(host):
    try:
        await GuardedDialer(clock=SystemClock(), policy=EgressPolicy()).connect(host, 80, purpose=Purpose.CHECK)
    except Fault as fault:
        print(fault.failure.reason)

print(has_route())
asyncio.run(look("192.0.2.1"))
asyncio.run(look("2001:db8::1"))
asyncio.run(look("shop.example"))
"""


def _can_unshare() -> bool:
    try:
        return subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not _can_unshare(), reason="no network namespaces here")
def test_n03_a_machine_without_a_network_says_so_instead_of_blaming_anybody() -> None:
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", OFFLINE], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.split() == ["False", "probe_offline", "probe_offline", "probe_offline"]


def test_asking_for_a_route_sends_nothing_and_leaves_nothing() -> None:
    before = sockets()

    has_route()

    assert sockets() == before


async def test_a_closed_address_is_not_connected_and_ours_to_explain() -> None:
    seen = await failure(a_dialer("169.254.169.254", "fe80::1").connect("meta.test", 80, purpose=Purpose.CHECK))

    assert seen.reason is Reason.BLOCKED_BY_POLICY
    assert "169.254.169.254 is a link-local address" in seen.detail
    assert seen.evidence.addresses == ("169.254.169.254", "fe80::1")


async def test_an_opened_address_is_connected() -> None:
    policy = a_dialer("::ffff:127.0.0.1", allow=("127.0.0.0/8",))
    async with ScriptedTarget(echo) as target:
        connection = await policy.connect("mapped.test", target.port, purpose=Purpose.NOTIFICATION)
        connection.close()

    assert connection.address == "127.0.0.1"


@has_ipv6
async def test_an_opened_link_local_address_is_connected_through_its_zone() -> None:
    reach = a_dialer(allow=("fe80::/10",))

    seen = await failure(reach.connect("fe80::dead:beef%lo", 1, purpose=Purpose.CHECK))

    assert seen.reason is not Reason.BLOCKED_BY_POLICY
    assert seen.evidence.addresses == ("fe80::dead:beef%lo",)


async def test_families_take_turns_and_the_rest_waits() -> None:
    addresses = [ip_address(text) for text in ("::1", "::2", "::3", "127.0.0.1", "127.0.0.2")]

    order = [str(address) for address in dialer._interleaved(addresses)]

    assert order == ["::1", "127.0.0.1", "::2", "127.0.0.2", "::3"]


async def test_a_detached_socket_belongs_to_whoever_took_it() -> None:
    async with ScriptedTarget(echo) as target:
        connection = await a_dialer().connect("127.0.0.1", target.port, purpose=Purpose.NOTIFICATION, explicit=True)
        sock = connection.detach()
        connection.close()
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"hello")
        heard = await reader.readexactly(5)
        writer.close()
        await writer.wait_closed()

    assert heard == b"hello"


async def test_a_closed_connection_says_that_it_is_closed() -> None:
    async with ScriptedTarget(echo) as target:
        connection = await a_dialer().connect("127.0.0.1", target.port, purpose=Purpose.CHECK)
        connection.close()

        with pytest.raises(OSError, match="closed"):
            await connection.send(b"x")
        with pytest.raises(OSError, match="closed"):
            await connection.receive()


@pytest.mark.usefixtures("no_socket_left")
async def test_trouble_right_after_the_connect_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(point: str) -> None:
        raise OSError(errno.EIO, "")

    monkeypatch.setattr(dialer, "fp", fail)
    async with ScriptedTarget(echo) as target:
        seen = await failure(a_dialer().connect("127.0.0.1", target.port, purpose=Purpose.CHECK))

    assert seen.reason is Reason.INTERNAL


def test_the_clock_tells_utc_and_only_moves_forward() -> None:
    before = CLOCK.monotonic()

    assert CLOCK.now().utcoffset() == timedelta(0)
    assert CLOCK.monotonic() >= before


def test_sleeping_less_than_nothing_only_gives_others_a_turn() -> None:
    work: Callable[[], Awaitable[None]] = lambda: CLOCK.sleep(-5)  # noqa: E731

    asyncio.run(asyncio.wait_for(work(), 5))

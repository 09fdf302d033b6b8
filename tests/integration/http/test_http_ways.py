"""Ways to a server that is not simply where its URL says."""

import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.testing.target import Peer, ScriptedTarget, says

CLOCK = SystemClock()
PATIENCE = timedelta(seconds=10)
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Authority(Protocol):
    ca_file: Path

    def context(self, *names: str, ends: timedelta = ..., self_signed: bool = False) -> ssl.SSLContext: ...


has_ipv6 = pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")


def reach_of(*addresses: str) -> GuardedDialer:
    """A dialer whose every name has these addresses."""

    async def resolve(name: str) -> tuple[str, ...]:
        return addresses

    return GuardedDialer(clock=CLOCK, policy=EgressPolicy(), resolver=resolve)


async def look(url: str, via: GuardedDialer, *, within: timedelta = PATIENCE, **options: Any) -> Seen:  # noqa: ANN401  any option of the check
    return await HttpCheck(url=Secret(url), **options).probe(via, timeout=within)


async def test_server_name_is_asked_for_and_checked_instead_of_the_host(authority: Authority) -> None:
    asked: list[str | None] = []
    context = authority.context("shop.example")
    context.sni_callback = lambda _, name, __: asked.append(name)
    ca_file = str(authority.ca_file)
    async with ScriptedTarget(says(FINE), tls=context) as target:
        as_it_is = await look(target.url(), reach_of(), ca_file=ca_file)
        named = await look(target.url(), reach_of(), ca_file=ca_file, server_name="Shop.Example")

    assert isinstance(as_it_is, Failure)
    assert as_it_is.reason is Reason.TLS_HOSTNAME
    assert isinstance(named, Answer), named
    assert asked[-1] == "shop.example"
    assert b"\r\nHost: 127.0.0.1:%d\r\n" % target.port in target.requests[-1]


async def test_server_name_is_not_for_another_origin(authority: Authority) -> None:
    ca_file = str(authority.ca_file)
    async with ScriptedTarget(says(FINE), tls=authority.context("127.0.0.1")) as other:
        moved = b"HTTP/1.1 302 Moved\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n" % other.url().encode()
        async with ScriptedTarget(says(moved), tls=authority.context("shop.example")) as target:
            seen = await look(target.url(), reach_of(), ca_file=ca_file, server_name="shop.example")

    assert isinstance(seen, Answer), seen


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_connect_to_goes_elsewhere_and_changes_neither_host_nor_certificate(
    scheme: str, authority: Authority
) -> None:
    context = authority.context("shop.example") if scheme == "https" else None
    async with ScriptedTarget(says(FINE), tls=context) as target:
        via = reach_of()  # no name has an address
        place = f"127.0.0.1:{target.port}"
        seen = await look(f"{scheme}://shop.example/", via, ca_file=str(authority.ca_file), connect_to=place)

    assert isinstance(seen, Answer), seen
    assert b"\r\nHost: shop.example\r\n" in target.requests[0]
    assert seen.evidence.address == "127.0.0.1"


async def test_connect_to_may_be_a_name_and_holds_for_redirects_within_the_origin_only() -> None:
    async with ScriptedTarget(says(FINE)) as other:

        async def script(peer: Peer) -> None:
            head = await peer.request()
            there = {b"/": b"/there", b"/there": b"http://other.test:%d/" % other.port}[head.split(b" ")[1]]
            await peer.send(b"HTTP/1.1 302 Moved\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n" % there)

        async with ScriptedTarget(script) as target:
            via = reach_of("127.0.0.1")
            seen = await look("http://shop.test/", via, connect_to=f"backend.test:{target.port}")

    assert isinstance(seen, Answer), seen
    assert (target.connections, other.connections) == (2, 1)


async def test_connect_to_a_forbidden_address_is_blocked() -> None:
    seen = await look("http://shop.test/", reach_of("127.0.0.1"), connect_to="169.254.169.254:80")

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.BLOCKED_BY_POLICY


@has_ipv6
@pytest.mark.parametrize(("version", "address"), [(4, "127.0.0.1"), (6, "::1")])
async def test_ip_is_the_only_version_that_is_connected(version: int, address: str, connected: list[str]) -> None:
    async with ScriptedTarget(says(FINE), host=address) as target:
        seen = await look(f"http://both.test:{target.port}/", reach_of("::1", "127.0.0.1"), ip=version)

    assert isinstance(seen, Answer), seen
    assert seen.evidence.address == address
    assert set(connected) == {address}


@pytest.mark.parametrize(("version", "address"), [(6, "127.0.0.1"), (4, "::1")])
async def test_a_name_without_such_an_address_fails_and_says_so(version: int, address: str) -> None:
    named = await look("http://one.test/", reach_of(address), ip=version)
    host = f"[{address}]" if ":" in address else address
    written = await look(f"http://{host}/", reach_of(), ip=version)

    for seen, what in ((named, "one.test"), (written, address)):
        assert isinstance(seen, Failure)
        assert (seen.reason, seen.detail) == (Reason.DNS, f"{what} has no IPv{version} address")


async def test_a_bearer_token_goes_to_the_origin_only(reach: GuardedDialer) -> None:
    async with ScriptedTarget(says(FINE)) as other:
        moved = b"HTTP/1.1 302 Moved\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n" % other.url().encode()
        async with ScriptedTarget(says(moved)) as target:
            seen = await look(target.url(), reach, bearer=Secret("t0ken"))

    assert isinstance(seen, Answer)
    assert b"\r\nAuthorization: Bearer t0ken\r\n" in target.requests[0]
    assert b"t0ken" not in other.requests[0]
    assert "t0ken" not in repr(seen)


@pytest.mark.parametrize(
    "options", [{"self_signed": True}, {"ends": -timedelta(hours=1)}], ids=["self-signed", "expired"]
)
@pytest.mark.parametrize("name", ["127.0.0.1", "other.example"])
async def test_insecure_looks_at_the_certificate_and_verifies_nothing(
    name: str, options: dict[str, Any], authority: Authority, reach: GuardedDialer
) -> None:
    async with ScriptedTarget(says(FINE), tls=authority.context(name, **options)) as target:
        strict = await look(target.url(), reach, ca_file=str(authority.ca_file))
        seen = await look(target.url(), reach, insecure=True)

    assert isinstance(strict, Failure)
    assert isinstance(seen, Answer), seen
    assert seen.evidence.tls is not None
    assert seen.evidence.tls.chain[0].names == (name,)
    assert seen.evidence.tls.version == "TLSv1.3"


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port that is taken on 127.0.0.9 alone, so that nobody listens there on other addresses."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.9", 0))
        yield holder.getsockname()[1]


async def test_where_one_address_fails_it_is_on_record(free_port: int) -> None:
    async with ScriptedTarget(says(FINE), port=free_port) as target:
        seen = await look(f"http://two.test:{target.port}/", reach_of("127.0.0.2", "127.0.0.1"))

    assert isinstance(seen, Answer), seen
    assert [(each.address, each.cause) for each in seen.evidence.attempts] == [
        ("127.0.0.2", "Connection refused"),
        ("127.0.0.1", ""),
    ]
    assert all(each.took < PATIENCE for each in seen.evidence.attempts)


@has_ipv6
async def test_where_one_family_fails_it_is_on_record() -> None:
    async with ScriptedTarget(says(FINE)) as target:
        seen = await look(f"http://both.test:{target.port}/", reach_of("::1", "127.0.0.1"))

    assert isinstance(seen, Answer), seen
    assert [(each.address, each.cause) for each in seen.evidence.attempts] == [
        ("::1", "Connection refused"),
        ("127.0.0.1", ""),
    ]


async def test_where_all_fail_each_is_on_record() -> None:
    async with ScriptedTarget(says(FINE)) as target:
        port = target.port
    seen = await look(f"http://two.test:{port}/", reach_of("127.0.0.2", "127.0.0.3"))

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.REFUSED
    assert [(each.address, each.cause) for each in seen.evidence.attempts] == [
        ("127.0.0.2", "Connection refused"),
        ("127.0.0.3", "Connection refused"),
    ]


async def test_where_the_first_takes_the_connection_there_is_nothing_to_record() -> None:
    async with ScriptedTarget(says(FINE)) as target:
        seen = await look(f"http://two.test:{target.port}/", reach_of("127.0.0.1", "127.0.0.2"))

    assert seen.evidence.attempts == ()


@pytest.fixture
def silent_ports() -> Iterator[int]:
    """A port that leaves every connection hanging on 127.0.0.2 and 127.0.0.3."""
    held: list[socket.socket] = []
    port = 0
    for address in ("127.0.0.2", "127.0.0.3"):
        listener = socket.socket()
        listener.bind((address, port))
        listener.listen(0)
        port = listener.getsockname()[1]
        held.append(listener)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((address, port))
            held.append(filler)
    yield port
    for sock in held:
        sock.close()


async def test_what_the_deadline_cuts_short_is_on_record_too(silent_ports: int) -> None:
    via = reach_of("127.0.0.1", "127.0.0.2", "127.0.0.3")
    seen = await look(f"http://three.test:{silent_ports}/", via, within=timedelta(seconds=0.5))

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "connect")
    assert [(each.address, each.cause) for each in seen.evidence.attempts] == [
        ("127.0.0.1", "Connection refused"),
        ("127.0.0.2", "no answer by then"),
        ("127.0.0.3", "no answer by then"),
    ]


@pytest.mark.parametrize("wait", [0, 1, 3])
async def test_a_look_that_is_dropped_while_its_name_is_looked_up_leaves_nothing(
    wait: int, open_sockets: Callable[[], int]
) -> None:
    async with ScriptedTarget(says(FINE)) as target:
        before = open_sockets()
        told: list[Seen] = []
        ready = HttpCheck(url=Secret(f"http://one.test:{target.port}/")).prepare(reach_of("127.0.0.1"))
        looking = ready.begin(PATIENCE, told.append)
        for _ in range(wait):
            await CLOCK.sleep(0)
        looking.cancel()
        await CLOCK.sleep(0.01)
        await target.all_gone()

        assert told == []
        assert open_sockets() <= before

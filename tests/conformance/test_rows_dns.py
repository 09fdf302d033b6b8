"""DNS: what name servers say, do not say, and garble, for the check `dns` and for a URL whose name must be found."""

import struct
from collections.abc import Awaitable, Callable, Sequence

import dns.flags
import dns.message
import dns.rcode
import pytest

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.domain.result import Result
from laya_uptime.testing.nameserver import Asked, Script, ScriptedNameServer, silence
from laya_uptime.testing.target import ScriptedTarget, says

Look = Callable[..., Awaitable[Result]]
Told = Callable[[Result, str], str]

SHORT = "400ms"
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
HEAD = struct.pack("!HHHHHH", 7, 0x8180, 1, 1, 0, 0) + b"\x04shop\x04test\x00\x00\x01\x00\x01"


def records(*found: tuple[str, str, str], **how: object) -> Script:
    async def script(asked: Asked) -> None:
        await asked.send(asked.reply(*(found if asked.record == "A" else ()), **how))  # type: ignore[arg-type]

    return script


def code(name: str | int) -> Script:
    async def script(asked: Asked) -> None:
        reply = asked.reply(rcode="SERVFAIL")
        reply.use_edns(0)
        reply.set_rcode(dns.rcode.Rcode.make(name))
        await asked.send(reply)

    return script


def raw(wire: bytes) -> Script:
    async def script(asked: Asked) -> None:
        kind = asked.message.question[0].rdtype
        await asked.send_raw(asked.message.id.to_bytes(2, "big") + wire[2:23] + kind.to_bytes(2, "big") + wire[25:])

    return script


def record(owner: bytes, kind: int, data: bytes) -> bytes:
    return HEAD + owner + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def over_tcp(then: Script) -> Script:
    """Say over UDP that the answer is too long, and do this over TCP."""

    async def script(asked: Asked) -> None:
        await (then(asked) if asked.over_tcp else asked.send(asked.reply(truncated=True)))

    return script


async def cut(asked: Asked) -> None:
    await asked.send_raw(b"\xff\xff" + asked.reply((asked.name, "A", "192.0.2.1")).to_wire())


async def truncated_again(asked: Asked) -> None:
    await asked.send(asked.reply(truncated=True))


async def another_question(asked: Asked) -> None:
    await asked.send(dns.message.make_response(dns.message.make_query("other.test", "A")))


async def drip(asked: Asked) -> None:
    await asked.send_raw(b"\xff\xff")
    while True:
        await asked.send_raw(b"\x00")
        await SystemClock().sleep(0.02)


async def flood(asked: Asked) -> None:
    lie = asked.reply((asked.name, "A", "192.0.2.66"))
    lie.id ^= 1
    for _ in range(200):
        await asked.send(lie)


async def from_elsewhere(asked: Asked) -> None:
    await asked.send_from_elsewhere(asked.reply((asked.name, "A", "192.0.2.66")))


async def lie_then_truth(asked: Asked) -> None:
    lie = asked.reply((asked.name, "A", "192.0.2.66"))
    lie.id ^= 1
    await asked.send(lie)
    await asked.send(asked.reply((asked.name, "A", "192.0.2.1")))


async def second_time(asked: Asked) -> None:
    if len(asked.server.asked) > 1:
        await asked.send(asked.reply((asked.name, "A", "192.0.2.1")))


async def chain(asked: Asked) -> None:
    number = int(asked.name.removeprefix("n").removesuffix(".test"))
    await asked.send(asked.reply((asked.name, "CNAME", f"n{number + 1}.test.")))


async def circle(asked: Asked) -> None:
    await asked.send(asked.reply(("shop.test", "CNAME", "b.test."), ("b.test", "CNAME", "shop.test.")))


def row(name: str, script: Script, expected: str, **settings: object) -> object:
    return pytest.param(script, settings, expected, id=name)


SHOP = ("shop.test", "A", "192.0.2.1")
UNUSABLE = "down dns: cannot be used"
ROWS = [
    row("an address", records(SHOP), "up"),
    row("two addresses", records(SHOP, ("shop.test", "A", "192.0.2.2")), "up"),
    row("an alias and its address", records(("shop.test", "CNAME", "x.test."), ("x.test", "A", "192.0.2.1")), "up"),
    row("no such name", records(rcode="NXDOMAIN", soa=True), "down dns: NXDOMAIN"),
    row("no such record", records(soa=True), "down dns: NODATA"),
    row("no such name, as expected", records(rcode="NXDOMAIN"), "up", expect=['dns.rcode == "NXDOMAIN"']),
    row("another address than expected", records(SHOP), "down assertion: 192.0.2.1", expect=['dns.answers contains "192.0.2.9"']),
    row("records of another name", records(("evil.test", "A", "192.0.2.66")), "down dns: NODATA"),
    row("records of another type", records(("shop.test", "TXT", '"x"')), "down dns: NODATA"),
    row("SERVFAIL", code("SERVFAIL"), "down dns: SERVFAIL"),
    row("REFUSED", code("REFUSED"), "down dns: REFUSED"),
    row("FORMERR", code("FORMERR"), "down dns: FORMERR"),
    row("NOTIMP", code("NOTIMP"), "down dns: NOTIMP"),
    row("YXDOMAIN", code("YXDOMAIN"), "down dns: YXDOMAIN"),
    row("BADVERS", code("BADVERS"), "down dns: BADVERS"),
    row("a code that nobody defined", code(3000), "down dns: RCODE3000"),
    row("SERVFAIL, and why", records(rcode="SERVFAIL", why=(6, "bogus")), "down dns: bogus"),
    row("not proven", records(SHOP), "down dns", dnssec=True),
    row("proven", records(SHOP, authenticated=True), "up", dnssec=True),
    row("silence", silence, "down timeout: no answer from name server", timeout=SHORT),
    row("silence the first time", second_time, "up"),
    row("aliases in a circle", circle, "down dns: circle"),
    row("aliases without end", chain, "down dns: more than 16 aliases", query="n0.test"),
    row("an answer from another port", from_elsewhere, "down timeout", timeout=SHORT),
    row("an answer with another id, then ours", lie_then_truth, "up"),
    row("a flood of answers with other ids", flood, UNUSABLE),
    row("a pointer to itself", raw(record(b"\xc0\x1b", 1, bytes(4))), UNUSABLE),
    row("a pointer forward", raw(record(b"\xc0\x30", 1, bytes(4)) + bytes(60)), UNUSABLE),
    row("two pointers to each other", raw(record(b"\xc0\x1d\xc0\x1b", 1, bytes(4))), UNUSABLE),
    row("a label type that does not exist", raw(record(b"\x80x", 1, bytes(4))), UNUSABLE),
    row("an address of five bytes", raw(record(b"\xc0\x0c", 1, bytes(5))), UNUSABLE),
    row("no address at all", raw(record(b"\xc0\x0c", 1, b"")), UNUSABLE),
    row("data beyond the end", raw(HEAD + b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4000) + bytes(4)), UNUSABLE),
    row("a record that is missing", raw(HEAD), UNUSABLE),
    row("an alias that points into itself", raw(record(b"\xc0\x0c", 5, b"\xc0\x27")), UNUSABLE),
    row("truncated, then whole over TCP", over_tcp(records(SHOP)), "up"),
    row("truncated, then cut", over_tcp(cut), "down dns: hangs up before its answer is complete"),
    row("truncated, then nothing", over_tcp(silence), "down dns: hangs up before its answer is complete"),
    row("truncated, then truncated", over_tcp(truncated_again), "down dns: over TCP is truncated"),
    row("truncated, then another question", over_tcp(another_question), "down dns: another question than ours"),
    row("truncated, then a byte at a time", over_tcp(drip), "down timeout", timeout=SHORT),
    row("4,000 addresses over TCP", over_tcp(records(*(("shop.test", "A", f"10.0.{n >> 8}.{n & 255}") for n in range(4000)))), "up"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "settings", "expected"), ROWS)
async def test_r04_what_a_name_server_does_has_its_exact_reason(
    script: Script, settings: dict[str, object], expected: str, look: Look, told: Told
) -> None:
    async with ScriptedNameServer(script) as server:
        resolver = f"127.0.0.1:{server.port}"
        result = await look(**{"type": "dns", "query": "shop.test", "resolver": resolver, **settings})

    assert told(result, expected) == expected


UNHEARD = [
    pytest.param("127.0.0.1:{closed}", "down refused", id="nobody listens"),
    pytest.param("169.254.169.254", "unknown blocked_by_policy", id="the name server is closed by the policy"),
]


@pytest.mark.parametrize(("resolver", "expected"), UNHEARD)
async def test_a_name_server_that_is_not_there_is_told_from_one_that_is_closed(
    resolver: str, expected: str, closed_port: int, look: Look, told: Told
) -> None:
    result = await look(type="dns", query="shop.test", resolver=resolver.format(closed=closed_port))

    assert told(result, expected) == expected


def addresses(*found: str) -> Script:
    return records(*(("shop.test", "A", address) for address in found))


URLS = [
    row("found", addresses("127.0.0.1"), "up"),
    row("one open among closed ones", addresses(*(f"169.254.0.{n}" for n in range(49)), "127.0.0.1"), "up"),
    row("closed ones only", addresses("169.254.169.254"), "unknown blocked_by_policy"),
    row("found, and nobody listens there", addresses("127.0.0.99"), "down refused: Connection refused"),
    row("no such name", records(rcode="NXDOMAIN", soa=True), "down dns: NXDOMAIN"),
    row("no address", records(soa=True), "down dns: NODATA"),
    row("SERVFAIL", code("SERVFAIL"), "down dns: SERVFAIL"),
    row("REFUSED", code("REFUSED"), "down dns: REFUSED"),
    row("garbled", raw(record(b"\xc0\x1b", 1, bytes(4))), UNUSABLE),
    row("aliases in a circle", circle, "down dns: circle"),
    row("silence", silence, "down timeout: looking up the name", timeout=SHORT),
]


@pytest.mark.parametrize(("script", "settings", "expected"), URLS)
async def test_a_name_that_does_not_lead_to_a_server_is_down_with_its_exact_reason(
    script: Script, settings: dict[str, object], expected: str, look: Look, told: Told
) -> None:
    async with ScriptedTarget(says(FINE)) as target, ScriptedNameServer(script) as server:
        result = await look(url=target.url(host="shop.test"), resolver=f"127.0.0.1:{server.port}", **settings)

    assert told(result, expected) == expected


REBINDING: Sequence[object] = [
    pytest.param("up", "unknown blocked_by_policy", id="first here, then where nobody may go")
]


@pytest.mark.parametrize(("first", "expected"), REBINDING)
async def test_s02_an_answer_that_changes_is_vetted_anew(first: str, expected: str, look: Look, told: Told) -> None:
    async def rebinds(asked: Asked) -> None:
        times = sum(each.record == "A" for each in asked.server.asked)
        address = "127.0.0.1" if times < 2 else "169.254.169.254"
        await asked.send(asked.reply(*([(asked.name, "A", address)] if asked.record == "A" else [])))

    async with ScriptedTarget(says(FINE)) as target, ScriptedNameServer(rebinds) as server:
        results = [await look(url=target.url(host="shop.test"), resolver=f"127.0.0.1:{server.port}") for _ in range(2)]

    assert [told(result, "") for result in results] == [first, expected]
    assert target.connections == 1

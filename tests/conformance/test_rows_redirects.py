"""Redirects: where they lead, where they may not, and when it is enough."""

from collections.abc import Awaitable, Callable

import pytest

from laya_uptime.domain.result import Result
from laya_uptime.testing.target import Peer, Script, ScriptedTarget, says

Look = Callable[..., Awaitable[Result]]
Told = Callable[[Result, str], str]

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def moved(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def by_path(answers: dict[str, bytes]) -> Script:
    """Answer each path as it says, {port} in it being this server's own, and all others with 200."""

    async def script(peer: Peer) -> None:
        target = (await peer.request()).split(b" ")[1].decode()
        await peer.send(answers.get(target, FINE).replace(b"{port}", b"%d" % peer.target.port))

    return script


async def ever_further(peer: Peer) -> None:
    await peer.request()
    await peer.send(moved(f"/{len(peer.target.requests)}"))


def row(name: str, script: Script | bytes, expected: str, **settings: object) -> object:
    return pytest.param(by_path({"/": script}) if isinstance(script, bytes) else script, settings, expected, id=name)


FOLLOWED = "redirects == 1 and status == 200"
ROWS = [
    *(row(f"{code} is followed", moved("/there", code), "up", expect=[FOLLOWED]) for code in (301, 302, 303, 307, 308)),
    *(row(f"{code} is an answer", moved("/there", code), f"down http_status: HTTP {code}") for code in (300, 304, 305, 306)),
    row("no location", b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "down http_status: HTTP 302"),
    row("an empty location", moved(""), "down http_status: HTTP 302"),
    row("none are to be followed", moved("/there"), "down http_status: HTTP 302", redirects=0),
    row("none are, and one is expected", moved("/there"), "up", redirects=0, expect=["status == 302"]),
    row("to a whole address", moved("http://127.0.0.1:{port}/x"), "up", expect=[FOLLOWED]),
    row("to an address without scheme", moved("//127.0.0.1:{port}/x"), "up", expect=[FOLLOWED]),
    row("to a query", moved("?x"), "up", expect=[FOLLOWED]),
    row("to an address in decimal", moved("http://2130706433:{port}/x"), "up", expect=[FOLLOWED]),
    row("to an error", by_path({"/": moved("/gone"), "/gone": b"HTTP/1.1 410 Gone\r\n\r\n"}), "down http_status: HTTP 410"),
    row("five on end", by_path({"/": moved("/1"), **{f"/{n}": moved(f"/{n + 1}") for n in range(1, 5)}}), "up"),
    row("six on end", by_path({"/": moved("/1"), **{f"/{n}": moved(f"/{n + 1}") for n in range(1, 6)}}), "down redirect_loop"),
    row("without end", ever_further, "down redirect_loop: more than 5 redirects"),
    row("without end, ten allowed", ever_further, "down redirect_loop: more than 10 redirects", redirects=10),
    row("to itself", by_path({"/": moved("/")}), "down redirect_loop: circle"),
    row("in a circle", by_path({"/": moved("/a"), "/a": moved("/b"), "/b": moved("/a")}), "down redirect_loop: circle"),
    *(
        row(f"to {location}", moved(location), "down redirect_blocked: redirect to")
        for location in (
            "http://169.254.169.254/latest/meta-data/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://100.100.100.200/",
            "http://0.0.0.0/",
            "http://[fe80::1]/",
            "http://metadata.test:{port}/",
            "file:///etc/passwd",
            "FILE:///etc/passwd",
            "gopher://127.0.0.1:6379/_FLUSHALL",
            "ftp://127.0.0.1/",
            "data:text/plain,hi",
            "javascript:alert(1)",
            "http://127.0.0.1:99999/",
            "/\\\\169.254.169.254/",
            "http://user:x@169.254.169.254@127.0.0.1/",
        )
    ),
    row("to where nobody listens", moved("http://127.0.0.1:1/x"), "down refused: after a redirect to"),
    row("to a name that does not exist", moved("http://nowhere.test/x"), "down dns: after a redirect to"),
    row("cut on the way", b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 9\r\n\r\nhello", "down truncated: 5 of 9"),
    row("a page that refreshes itself", b"HTTP/1.1 200 OK\r\nRefresh: 0;url=http://169.254.169.254/\r\n\r\n", "up"),
    row("with a body, elsewhere", moved("http://localhost.test:{port}/x", 307), "down redirect_blocked: another origin", method="POST", body="x"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "settings", "expected"), ROWS)
async def test_a_redirect_leads_to_its_answer_or_to_an_exact_reason(
    script: Script, settings: dict[str, object], expected: str, names: str, look: Look, told: Told
) -> None:
    async with ScriptedTarget(script) as target:
        result = await look(url=target.url(), resolver=names, **settings)

    assert told(result, expected) == expected


TARGETS = [
    pytest.param(host, "unknown blocked_by_policy", id=f"the target itself is {host}")
    for host in ("169.254.169.254", "[::ffff:a9fe:a9fe]", "[fe80::1]", "255.255.255.255", "224.0.0.1", "metadata.test")
]


@pytest.mark.parametrize(("host", "expected"), TARGETS)
async def test_a_target_that_the_policy_closes_proves_nothing(
    host: str, expected: str, names: str, look: Look, told: Told
) -> None:
    result = await look(url=f"http://{host}/", resolver=names)

    assert told(result, expected) == expected


@pytest.mark.parametrize("expected", [pytest.param("down redirect_blocked: https to http", id="from https to http")])
async def test_a_redirect_never_leaves_tls(expected: str, authorities, look: Look, told: Told) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    context = authorities.server("127.0.0.1")
    async with ScriptedTarget(says(FINE)) as plain, ScriptedTarget(says(moved(plain.url())), tls=context) as target:
        result = await look(url=target.url(), ca_file=str(authorities.ca_file))

    assert told(result, expected) == expected
    assert plain.connections == 0

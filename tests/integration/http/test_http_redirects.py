"""Redirects: where they lead, where they may not, and what goes along."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import cycle
from pathlib import Path

import pytest

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure
from laya_uptime.domain.secret import Secret
from laya_uptime.testing.target import Peer, Script, ScriptedTarget, says

PATIENCE = timedelta(seconds=10)
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def points_to(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def by_path(answers: Callable[[ScriptedTarget], dict[str, bytes]]) -> Script:
    async def script(peer: Peer) -> None:
        request = await peer.request()
        await peer.send(answers(peer.target).get(request.split(b" ")[1].decode(), FINE))

    return script


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_and_kept(status: int, reach: GuardedDialer) -> None:
    async with ScriptedTarget(by_path(lambda _: {"/": points_to("/there?token=hunter2", status)})) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Answer)
    assert seen.evidence.status == 200
    (hop,) = seen.evidence.redirects
    assert (hop.url, hop.status) == (target.url(), status)
    assert "hunter2" not in repr(seen)
    assert target.connections == 2


@pytest.mark.parametrize("status", [300, 304, 305, 306])
async def test_other_3xx_are_answers(status: int, reach: GuardedDialer) -> None:
    async with ScriptedTarget(by_path(lambda _: {"/": points_to("/there", status)})) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert (type(seen), seen.evidence.status, target.connections) == (Answer, status, 1)


async def test_a_redirect_without_a_location_is_an_answer(reach: GuardedDialer) -> None:
    async with ScriptedTarget(says(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert (type(seen), seen.evidence.status) == (Answer, 302)


async def test_with_no_redirects_allowed_the_redirect_is_the_answer(reach: GuardedDialer) -> None:
    async with ScriptedTarget(says(points_to("/there"))) as target:
        seen = await HttpCheck(url=Secret(target.url()), redirects=0).probe(reach, timeout=PATIENCE)

    assert (type(seen), seen.evidence.status, seen.evidence.redirects) == (Answer, 302, ())


@pytest.mark.parametrize("allowed", [1, 5, 10])
async def test_r03_more_redirects_than_allowed_are_a_loop(allowed: int, reach: GuardedDialer) -> None:
    async def ever_further(peer: Peer) -> None:
        await peer.request()
        await peer.send(points_to(f"/{len(peer.target.requests)}"))

    async with ScriptedTarget(ever_further) as target:
        seen = await HttpCheck(url=Secret(target.url()), redirects=allowed).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert (seen.reason, target.connections) == (Reason.REDIRECT_LOOP, allowed + 1)
    assert f"more than {allowed} redirects" in seen.detail


async def test_a_circle_of_redirects_is_a_loop(reach: GuardedDialer) -> None:
    answers = {"/": points_to("/a"), "/a": points_to("/b"), "/b": points_to("/a")}
    async with ScriptedTarget(by_path(lambda _: answers)) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert (seen.reason, target.connections, len(seen.evidence.redirects)) == (Reason.REDIRECT_LOOP, 3, 3)
    assert "circle" in seen.detail


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://0xa9fea9fe/",
        "http://2852039166/",
        "http://\uff11\uff16\uff19.254.169.254/",
        "http://[fe80::1%25lo]/",
        "http://100.100.100.200/",
        "http://0.0.0.0/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://metadata.test/",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "ftp://127.0.0.1/",
        "data:text/plain,hi",
        "javascript:alert(1)",
        "http://user:hunter2@169.254.169.254@127.0.0.1/",
        "http://127.0.0.1:99999/",
        "/\\169.254.169.254/",
    ],
)
async def test_s01_a_redirect_to_where_nobody_may_go_is_blocked(
    status: int, location: str, connected: list[str]
) -> None:
    async def resolve(name: str) -> tuple[str, ...]:
        return ("169.254.169.254",)

    reach = GuardedDialer(clock=SystemClock(), policy=EgressPolicy(), resolver=resolve)
    async with ScriptedTarget(says(points_to(location, status))) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.REDIRECT_BLOCKED
    assert seen.detail.startswith("redirect to ")
    assert seen.evidence.redirects[0].status == status
    assert connected == ["127.0.0.1"]
    assert "hunter2" not in repr(seen)


async def test_s01_an_own_port_behind_a_redirect_is_reached_only_as_any_loopback_port(reach: GuardedDialer) -> None:
    async with ScriptedTarget(says(FINE)) as own, ScriptedTarget(says(points_to(own.url()))) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert (type(seen), own.connections) == (Answer, 1)


async def test_s01_a_meta_refresh_is_not_followed(reach: GuardedDialer) -> None:
    page = b'<meta http-equiv="refresh" content="0;url=http://169.254.169.254/">'
    answer = b"HTTP/1.1 200 OK\r\nRefresh: 0;url=http://169.254.169.254/\r\nContent-Length: %d\r\n\r\n%s" % (
        len(page),
        page,
    )
    async with ScriptedTarget(says(answer)) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert (type(seen), seen.evidence.redirects) == (Answer, ())


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[::ffff:a9fe:a9fe]", "0xa9.0376.169.254", "[fe80::1]", "255.255.255.255", "224.0.0.1", "0"],
)
async def test_s03_a_target_that_nobody_may_reach_is_our_trouble(
    host: str, reach: GuardedDialer, connected: list[str]
) -> None:
    seen = await HttpCheck(url=Secret(f"http://{host}/")).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.BLOCKED_BY_POLICY
    assert seen.reason.is_ours
    assert connected == []


@pytest.mark.parametrize(
    "host", ["0x7f.1", "2130706433", "127.1", "[::ffff:7f00:1]", "\uff11\uff12\uff17.0.0.1", "0177.0.0.1"]
)
async def test_s03_parser_and_connector_agree_on_the_address(
    host: str, reach: GuardedDialer, connected: list[str]
) -> None:
    async with ScriptedTarget(says(FINE)) as target:
        seen = await HttpCheck(url=Secret(f"http://{host}:{target.port}/")).probe(reach, timeout=PATIENCE)

    assert (type(seen), seen.evidence.address, connected) == (Answer, "127.0.0.1", ["127.0.0.1"])
    assert target.requests[0].splitlines()[1] == f"Host: 127.0.0.1:{target.port}".encode()


async def test_s02_an_answer_that_changes_between_look_and_leap_changes_nothing(connected: list[str]) -> None:
    answers = cycle([("127.0.0.1",), ("169.254.169.254",)])
    asked = []

    async def resolve(name: str) -> tuple[str, ...]:
        asked.append(name)
        return next(answers)

    reach = GuardedDialer(clock=SystemClock(), policy=EgressPolicy(), resolver=resolve)
    async with ScriptedTarget(says(FINE)) as target:
        check = HttpCheck(url=Secret(target.url(host="rebind.test")))
        first = await check.probe(reach, timeout=PATIENCE)
        second = await check.probe(reach, timeout=PATIENCE)

    assert (type(first), first.evidence.address) == (Answer, "127.0.0.1")
    assert isinstance(second, Failure)
    assert second.reason is Reason.BLOCKED_BY_POLICY
    assert asked == ["rebind.test", "rebind.test"]
    assert connected == ["127.0.0.1"]


async def test_s02_of_fifty_addresses_only_the_vetted_are_connected(connected: list[str]) -> None:
    async def resolve(name: str) -> tuple[str, ...]:
        return (*(f"169.254.{n}.254" for n in range(49)), "fe80::1", "127.0.0.1")

    reach = GuardedDialer(clock=SystemClock(), policy=EgressPolicy(), resolver=resolve)
    async with ScriptedTarget(says(FINE)) as target:
        seen = await HttpCheck(url=Secret(target.url(host="many.test"))).probe(reach, timeout=PATIENCE)

    assert (type(seen), seen.evidence.address, connected) == (Answer, "127.0.0.1", ["127.0.0.1"])
    assert len(seen.evidence.addresses) == 51


async def test_s02_each_hop_is_resolved_and_vetted_anew(connected: list[str]) -> None:
    answers = iter([("127.0.0.1",), ("169.254.169.254",)])

    async def resolve(name: str) -> tuple[str, ...]:
        return next(answers)

    reach = GuardedDialer(clock=SystemClock(), policy=EgressPolicy(), resolver=resolve)
    async with ScriptedTarget(says(points_to("/again"))) as target:
        seen = await HttpCheck(url=Secret(target.url(host="rebind.test"))).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.REDIRECT_BLOCKED
    assert connected == ["127.0.0.1"]


async def test_a_redirect_from_https_to_http_is_blocked(reach: GuardedDialer, authority) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    plain = ScriptedTarget(says(FINE))
    secure_context = authority.context("127.0.0.1")
    async with plain, ScriptedTarget(says(points_to(plain.url())), tls=secure_context) as secure:
        check = HttpCheck(url=Secret(secure.url()), ca_file=str(authority.ca_file))
        seen = await check.probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert (seen.reason, plain.connections) == (Reason.REDIRECT_BLOCKED, 0)
    assert "https to http" in seen.detail


async def test_a_fault_behind_a_redirect_says_where(reach: GuardedDialer) -> None:
    async with ScriptedTarget(says(points_to("http://127.0.0.1:1/x"))) as target:
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.REFUSED
    assert seen.detail == "Connection refused (after a redirect to http://127.0.0.1:1/x)"


CANARY = "hunter2"
CONFIDENTIAL = {
    "Authorization": Secret(f"Bearer {CANARY}"),
    "Cookie": Secret(f"session={CANARY}"),
    "Proxy-Authorization": Secret(f"Basic {CANARY}"),
    "X-Api-Key": Secret(CANARY),
    "X-Custom": Secret(CANARY),
    "Accept-Language": Secret("fr"),
}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_s06_nothing_confidential_goes_to_another_origin(status: int, reach: GuardedDialer) -> None:
    async with AsyncExitStack() as stack:
        stranger = await stack.enter_async_context(ScriptedTarget(says(FINE)))
        target = await stack.enter_async_context(ScriptedTarget(says(points_to(stranger.url(), status))))
        check = HttpCheck(url=Secret(target.url(userinfo=f"user:{CANARY}@")), headers=CONFIDENTIAL)
        seen = await check.probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Answer)
    assert target.requests[0].count(CANARY.encode()) == 5
    assert CANARY.encode() not in stranger.requests[0]
    assert b"authorization" not in stranger.requests[0].lower()
    assert b"Accept-Language: fr" in stranger.requests[0]


async def test_s06_what_left_the_origin_once_stays_gone_when_the_way_leads_back(reach: GuardedDialer) -> None:
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(ScriptedTarget(by_path(lambda own: {"/": points_to(stranger.url())})))
        stranger = await stack.enter_async_context(
            ScriptedTarget(by_path(lambda _: {"/": points_to(target.url("/back"))}))
        )
        check = HttpCheck(url=Secret(target.url(userinfo=f"user:{CANARY}@")), headers=CONFIDENTIAL)
        seen = await check.probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Answer)
    assert [CANARY.encode() in request for request in target.requests] == [True, False]


async def test_credentials_follow_a_redirect_within_their_origin(reach: GuardedDialer) -> None:
    async with ScriptedTarget(by_path(lambda own: {"/": points_to(own.url("/there"))})) as target:
        await HttpCheck(url=Secret(target.url(userinfo="user:pass@"))).probe(reach, timeout=PATIENCE)

    assert [b"Authorization: Basic dXNlcjpwYXNz" in request for request in target.requests] == [True, True]


async def test_credentials_in_a_location_are_not_sent(reach: GuardedDialer) -> None:
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(ScriptedTarget(says(FINE)))
        location = other.url(userinfo="user:pass@")
        target = await stack.enter_async_context(ScriptedTarget(says(points_to(location))))
        await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert b"Authorization" not in other.requests[0]


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", b"GET"),
        (302, "POST", b"GET"),
        (303, "POST", b"GET"),
        (303, "PUT", b"GET"),
        (307, "POST", b"POST"),
        (308, "PUT", b"PUT"),
        (302, "PUT", b"PUT"),
        (303, "HEAD", b"HEAD"),
    ],
)
async def test_the_method_after_a_redirect_is_the_one_of_rfc_9110(
    status: int, method: str, then: bytes, reach: GuardedDialer
) -> None:
    async with ScriptedTarget(by_path(lambda _: {"/": points_to("/there", status)})) as target:
        check = HttpCheck(
            url=Secret(target.url()),
            method=method,  # type: ignore[arg-type]
            body=None if method == "HEAD" else Secret("words"),
            headers={"Content-Type": Secret("text/plain")},
        )
        await check.probe(reach, timeout=PATIENCE)

    second = target.requests[1]
    assert second.startswith(then + b" /there HTTP/1.1\r\n")
    assert second.endswith(b"words") == (then in {b"POST", b"PUT"})
    assert (b"Content-Type" in second) == (then != b"GET")


async def test_a_body_is_not_carried_to_another_origin(reach: GuardedDialer) -> None:
    async with ScriptedTarget(says(FINE)) as other, ScriptedTarget(says(points_to(other.url(), 307))) as target:
        check = HttpCheck(url=Secret(target.url()), method="POST", body=Secret("password=hunter2"))
        seen = await check.probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert (seen.reason, other.connections) == (Reason.REDIRECT_BLOCKED, 0)


async def test_s07_ambient_proxies_and_netrc_are_ignored(
    reach: GuardedDialer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, connected: list[str]
) -> None:
    async with ScriptedTarget(says(FINE)) as proxy, ScriptedTarget(says(FINE)) as target:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
            monkeypatch.setenv(name.lower(), proxy.url())
        (tmp_path / ".netrc").write_text(
            "machine 127.0.0.1 login user password hunter2\ndefault login a password hunter2\n"
        )
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        seen = await HttpCheck(url=Secret(target.url())).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Answer)
    assert (proxy.connections, target.connections) == (0, 1)
    assert b"Authorization" not in target.requests[0]

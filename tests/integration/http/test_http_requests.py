"""What goes on the wire: one request, written safely, and nothing else."""

import base64
from collections.abc import Callable

import pytest

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net import dialer, http1
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Fault, Purpose
from laya_uptime.testing.target import Peer, ScriptedTarget, says

FINE = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nhi"


async def test_a_request_says_who_asks_and_that_it_wants_no_more(reach: GuardedDialer) -> None:
    async with ScriptedTarget(says(FINE)) as target:
        response = await http1.request(reach, "GET", target.url("/a?b=c"), headers={}, purpose=Purpose.CHECK)

    lines = target.requests[0].decode().split("\r\n")
    assert lines[0] == "GET /a?b=c HTTP/1.1"
    assert lines[1] == f"Host: 127.0.0.1:{target.port}"
    assert lines[2].startswith("User-Agent: laya-uptime/")
    assert lines[3:] == ["Accept: */*", "Accept-Encoding: gzip, deflate, br, zstd", "Connection: close", "", ""]
    assert (response.status, response.status_text, response.http_version, response.body) == (200, "OK", "1.1", b"hi")
    assert response.headers == (("x-a", "1"), ("x-a", "2"), ("content-length", "2"))
    assert (response.header("X-A"), response.header("x-b")) == ("1", None)
    assert (response.address, response.addresses, response.tls) == ("127.0.0.1", ("127.0.0.1",), None)


async def test_what_the_caller_sets_replaces_what_we_would_say(reach: GuardedDialer) -> None:
    headers = {"accept": "text/html", "User-agent": "me", "HOST": "other.example", "X-Latin": "caf\xe9"}
    async with ScriptedTarget(says(FINE)) as target:
        await http1.request(reach, "POST", target.url(), headers=headers, body=b"words", purpose=Purpose.CHECK)

    sent = target.requests[0]
    assert sent.lower().count(b"accept:") == sent.lower().count(b"host:") == sent.lower().count(b"user-agent:") == 1
    assert b"\r\nX-Latin: caf\xe9\r\n" in sent
    assert b"\r\nContent-Length: 5\r\n" in sent
    assert sent.endswith(b"\r\n\r\nwords")


@pytest.mark.parametrize(
    ("method", "has_length"), [("POST", True), ("PUT", True), ("PATCH", True), ("GET", False), ("HEAD", False)]
)
async def test_an_empty_body_has_a_length_where_one_is_expected(
    method: str, has_length: bool, reach: GuardedDialer
) -> None:
    async with ScriptedTarget(says(FINE)) as target:
        await http1.request(reach, method, target.url(), headers={}, purpose=Purpose.CHECK)

    assert (b"Content-Length: 0" in target.requests[0]) == has_length


@pytest.mark.parametrize(
    ("userinfo", "plain"),
    [
        ("user:pass@", "user:pass"),
        ("user@", "user:"),
        ("us%3Aer:p%40ss@", "us:er:p@ss"),
        ("\u00fc:\u00e9@", "\u00fc:\u00e9"),
    ],
)
async def test_credentials_in_the_url_become_basic_authentication(
    userinfo: str, plain: str, reach: GuardedDialer
) -> None:
    async with ScriptedTarget(says(FINE)) as target:
        await http1.request(reach, "GET", target.url(userinfo=userinfo), headers={}, purpose=Purpose.CHECK)

    assert f"Authorization: Basic {base64.b64encode(plain.encode()).decode()}".encode() in target.requests[0]


async def test_an_authorization_of_the_callers_own_wins(reach: GuardedDialer) -> None:
    async with ScriptedTarget(says(FINE)) as target:
        headers = {"authorization": "Bearer x"}
        await http1.request(reach, "GET", target.url(userinfo="user:pass@"), headers=headers, purpose=Purpose.CHECK)

    assert target.requests[0].lower().count(b"authorization:") == 1
    assert b"Bearer x" in target.requests[0]


HOSTILE = [
    pytest.param("GET\r\nX: y", "/", {}, id="line break in the method"),
    pytest.param("GET / HTTP/1.1\r\n\r\nGET", "/", {}, id="request in the method"),
    pytest.param("G\u00cbT", "/", {}, id="method outside ASCII"),
    pytest.param("", "/", {}, id="no method"),
    pytest.param("GET", "/\r\nX: y", {}, id="line break in the path"),
    pytest.param("GET", "/ HTTP/1.1\r\n\r\nGET /", {}, id="request in the path"),
    pytest.param("GET", "/\x00", {}, id="NUL in the path"),
    pytest.param("GET", "/\u00fc", {}, id="path outside ASCII"),
    pytest.param("GET", "/", {"X\r\nY": "z"}, id="line break in a name"),
    pytest.param("GET", "/", {"X Y": "z"}, id="space in a name"),
    pytest.param("GET", "/", {"X:": "z"}, id="colon in a name"),
    pytest.param("GET", "/", {"": "z"}, id="no name"),
    pytest.param("GET", "/", {"\u00dc": "z"}, id="name outside ASCII"),
    pytest.param("GET", "/", {"X": "hunter2\r\nY: z"}, id="line break in a value"),
    pytest.param("GET", "/", {"X": "hunter2\nY: z"}, id="line feed in a value"),
    pytest.param("GET", "/", {"X": "hunter2\r"}, id="carriage return at the end of a value"),
    pytest.param("GET", "/", {"X": "hunter2\x00"}, id="NUL in a value"),
    pytest.param("GET", "/", {"X": "hunter2\u20ac"}, id="value outside Latin-1"),
    pytest.param("GET", "/", {"X": "hunter2\x85"}, id="C1 control in a value"),
    pytest.param("GET", "/", {"Content-Length": "99"}, id="a length of its own"),
    pytest.param("GET", "/", {"transfer-encoding": "chunked"}, id="a framing of its own"),
    pytest.param("GET", "/", {"Connection": "keep-alive"}, id="a connection of its own"),
    pytest.param("GET", "/", {"Host": "a\r\nX: y"}, id="line break in the host"),
]


@pytest.mark.parametrize(("method", "path", "headers"), HOSTILE)
async def test_j08_what_could_become_a_second_request_is_never_sent(
    method: str, path: str, headers: dict[str, str], reach: GuardedDialer, connected: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        await http1.request(reach, method, f"http://127.0.0.1:1{path}", headers=headers, purpose=Purpose.CHECK)

    assert connected == []
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("ftp://h/", {}),
        ("http://user:hunter2@h:99999/", {}),
        ("http://h/\r\nX: y", {}),
        ("http://0x1ffffffff/", {}),
        ("http://h/", {"X": "hunter2\r\n"}),
        ("http://h/", {"X": "hunter2\u20ac"}),
        ("http://h/", {"Content-Length": "9"}),
        ("http://h/", {"X Y": "hunter2"}),
    ],
)
def test_j08_options_that_make_no_request_are_refused_when_read(url: str, headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        HttpCheck(url=Secret(url), headers={name: Secret(value) for name, value in headers.items()})

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("redirects", [-1, 11])
def test_at_most_ten_redirects_can_be_asked_for(redirects: int) -> None:
    with pytest.raises(ValueError, match="from 0 to 10"):
        HttpCheck(url=Secret("http://h/"), redirects=redirects)


def test_options_keep_their_secrets() -> None:
    check = HttpCheck(
        url=Secret("https://u:hunter2@h/?token=hunter2"), headers={"X": Secret("hunter2")}, body=Secret("hunter2")
    )

    assert "hunter2" not in repr(check)
    assert check.target == "https://h/?token=\u2022\u2022\u2022\u2022\u2022\u2022"


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The failpoints that were passed, in order."""
    points: list[str] = []
    monkeypatch.setattr(http1, "fp", points.append)
    monkeypatch.setattr(dialer, "fp", points.append)
    return points


async def test_a_check_passes_its_points_in_order(reach: GuardedDialer, passed: list[str]) -> None:
    async with ScriptedTarget(says(FINE)) as target:
        await http1.request(reach, "POST", target.url(), headers={}, body=b"words", purpose=Purpose.CHECK)

    assert passed == ["check.socket_open", "check.response_read"]


async def test_a_notification_passes_its_points_in_order_and_sends_its_body_in_halves(
    reach: GuardedDialer, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[tuple[str, bytes]] = []
    arrived = bytearray()

    async def script(peer: Peer) -> None:
        while not arrived.endswith(b"words"):
            arrived.extend(await peer.receive())
        await peer.send(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setattr(http1, "fp", lambda point: passed.append((point, bytes(arrived))))
    async with ScriptedTarget(script) as target:
        response = await http1.request(
            reach, "POST", target.url(), headers={}, body=b"words", purpose=Purpose.NOTIFICATION, explicit=True
        )

    assert [point for point, _ in passed] == [
        "delivery.before_connect",
        "delivery.body_half_sent",
        "delivery.bytes_sent",
        "delivery.response_read",
    ]
    assert not passed[1][1].endswith(b"ds")
    assert (response.status, target.connections) == (302, 1)


@pytest.mark.parametrize("point", ["delivery.before_connect", "delivery.body_half_sent", "delivery.response_read"])
async def test_r10_trouble_of_our_own_is_told_as_such(
    point: str, reach: GuardedDialer, monkeypatch: pytest.MonkeyPatch, open_sockets: Callable[[], int]
) -> None:
    def fail(passing: str) -> None:
        if passing == point:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(http1, "fp", fail)
    before = open_sockets()
    async with ScriptedTarget(says(FINE)) as target:
        with pytest.raises(Fault) as caught:
            await http1.request(
                reach, "POST", target.url(), headers={}, body=b"x", purpose=Purpose.NOTIFICATION, explicit=True
            )

    assert caught.value.failure.reason is Reason.INTERNAL
    assert open_sockets() == before


async def test_s04_a_notification_goes_inside_only_where_that_host_was_written(connected: list[str]) -> None:
    async def resolve(name: str) -> tuple[str, ...]:
        return ("127.0.0.1",)

    reach = GuardedDialer(clock=SystemClock(), policy=EgressPolicy(), resolver=resolve)
    async with ScriptedTarget(says(FINE)) as target:
        url = target.url(host="hooks.test")
        with pytest.raises(Fault) as caught:
            await http1.request(reach, "POST", url, headers={}, purpose=Purpose.NOTIFICATION)
        response = await http1.request(reach, "POST", url, headers={}, purpose=Purpose.NOTIFICATION, explicit=True)

    assert caught.value.failure.reason is Reason.BLOCKED_BY_POLICY
    assert (response.status, connected) == (200, ["127.0.0.1"])

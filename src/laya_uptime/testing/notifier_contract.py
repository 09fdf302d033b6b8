"""What every notifier promises, as tests that its own suite inherits.

`NotifierContract` holds for any channel; `HttpNotifierContract` adds what holds where the channel speaks HTTP. A suite
gives a fixture `via` (a Reach) and says how its notifier is made:

    class TestChat(HttpNotifierContract):
        secrets = ("token-of-the-test",)

        def notifier_at(self, port: int) -> Notifier:
            return ChatNotifier(webhook=Secret(f"http://127.0.0.1:{port}/hook/token-of-the-test"))
"""

import asyncio
import socket
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from enum import Enum, auto
from typing import Any, Protocol

import pytest

from laya_uptime.domain.alert import Alert, AlertFacts, AlertStatus, Statistics, Transition
from laya_uptime.errors import DeliveryError
from laya_uptime.ports import Notifier, Reach
from laya_uptime.testing.http_peer import OK, HttpPeer, reply

NOON = datetime(2026, 2, 17, 3, 30, tzinfo=timezone(timedelta(hours=1)))

STATUS_OF = {
    Transition.DOWN: AlertStatus.FAILURE,
    Transition.REMINDER: AlertStatus.FAILURE,
    Transition.RECOVERED: AlertStatus.RECOVERED,
    Transition.DEGRADED: AlertStatus.DEGRADED,
    Transition.HEALTHY: AlertStatus.HEALTHY,
    Transition.UNDELIVERED: AlertStatus.FAILURE,
}

HOSTILE_NAMES = {
    "line breaks": "Shop\r\nBcc: everyone@example.org\r\n\r\nhello",
    "unicode line breaks": "Shop\u2028second\u2029third\x85fourth",
    "encoded word with a newline": "=?utf-8?q?Shop=0aBcc:_everyone@example.org?=",
    "control characters": "Shop\x00\x07\x1b[31mred\x7f",
    "10 kB": "Shop " * 2000,
    "10 kB without a space": "S" * 10_000,
    "10 kB of combining marks": "S" + "\u0301" * 10_000,
    "emoji": "Shop 🚨👩‍👩‍👧‍👦🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "right to left override": "Shop \u202egnp.exe",
    "lone surrogate": "Shop \ud83d",
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "mentions": "@everyone @here <!channel> <@U123> <#C1> <https://evil.example|bank.example>",
    "markdown": "[bank](https://evil.example) **x** `y` ~~z~~ ||s|| > q # h",
    "templates": "{{7*7}} {0.__init__} %s ${HOME} {%include x%}",
    "nothing": "",
}


class Behaviour(Enum):
    """How the other side takes a message."""

    ACCEPT = auto()
    REFUSE_FOR_NOW = auto()
    REFUSE = auto()
    HANG = auto()
    RESET = auto()


class Peer(Protocol):
    """The other side of a channel, real and on loopback."""

    @property
    def port(self) -> int:
        """Return where it listens."""
        ...

    def behave(self, behaviour: Behaviour) -> None:
        """Take messages this way from now on."""
        ...

    def messages(self) -> list[bytes]:
        """Return what it has taken or refused, as it came."""
        ...

    def ids(self) -> list[str]:
        """Return the delivery id of each of them."""
        ...

    async def until_idle(self) -> None:
        """Wait until the notifier has closed its connections."""
        ...


def an_alert(transition: Transition = Transition.DOWN, **changed: Any) -> Alert:  # noqa: ANN401  any field of the facts
    """Return an alert about AI Service at half past three; `changed` are fields of its facts."""
    facts = AlertFacts(
        service="AI Service",
        monitor_id="ai-service",
        status=STATUS_OF[transition],
        url="http://localhost:8000/api/v1/health/liveness",
        message="Service is down (3 consecutive failures)",
        at=NOON,
        statistics=Statistics(
            total_checks=150,
            total_failures=3,
            consecutive_failures=3,
            uptime_percentage=98.0,
            avg_response_time_ms=45,
        ),
        reason="refused",
        detail="Connection refused",
        first_failure=NOON,
        confirmed=NOON,
    )
    if transition in {Transition.RECOVERED, Transition.HEALTHY}:
        after = timedelta(minutes=2)
        facts = replace(facts, at=NOON + after, recovered=NOON + after, downtime=after, message="Service has recovered")
    return Alert(
        id="5f2c9d0e8b7a46d1a3c4e5f60718293a",
        incident_id="ai-service-20260217T023000000Z",
        transition=transition,
        ordinal=0,
        channel_id="ops",
        dedup_key="ai-service-20260217T023000000Z/ops",
        facts=replace(facts, **changed),
    )


class NotifierContract:
    """The promises of any notifier. The deadline is the dispatcher's, so none of these tests sets one for it."""

    secrets: tuple[str, ...] = ()  # what was configured and must never be seen again

    def notifier_at(self, port: int) -> Notifier:
        """Return the notifier, made to deliver to 127.0.0.1 at this port."""
        raise NotImplementedError

    @pytest.fixture
    def notifier(self, peer: Peer) -> Notifier:
        """Return the notifier of the peer."""
        return self.notifier_at(peer.port)

    @pytest.mark.parametrize("transition", Transition)
    async def test_every_transition_arrives_once(
        self, notifier: Notifier, peer: Peer, via: Reach, transition: Transition
    ) -> None:
        """Whatever happened, there is a message for it."""
        await notifier.deliver(an_alert(transition), via)

        assert len(peer.messages()) == 1
        assert b"AI Service" in peer.messages()[0]

    async def test_every_attempt_carries_the_id_of_the_alert(self, notifier: Notifier, peer: Peer, via: Reach) -> None:
        """A receiver can drop the rare duplicate."""
        await notifier.deliver(an_alert(), via)
        await notifier.deliver(an_alert(), via)

        assert peer.ids() == [an_alert().id, an_alert().id]

    @pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES.keys())
    async def test_a_hostile_name_arrives_as_text(self, notifier: Notifier, peer: Peer, via: Reach, name: str) -> None:
        """No name keeps an alert from its reader, and none becomes a second message."""
        alert = an_alert(service=name, detail=name, components=(name,) * 60, assertions=(name,))

        await notifier.deliver(alert, via)

        assert len(peer.messages()) == 1

    async def test_a_refusal_for_now_is_tried_again(self, notifier: Notifier, peer: Peer, via: Reach) -> None:
        """What passes by itself must not lose an alert."""
        peer.behave(Behaviour.REFUSE_FOR_NOW)

        error = await failure(notifier, via)

        assert error.retry

    async def test_a_final_refusal_is_not_tried_again(self, notifier: Notifier, peer: Peer, via: Reach) -> None:
        """What can never succeed is handed to another channel at once."""
        peer.behave(Behaviour.REFUSE)

        error = await failure(notifier, via)

        assert not error.retry

    async def test_a_reset_is_tried_again(self, notifier: Notifier, peer: Peer, via: Reach) -> None:
        """Nobody knows whether the message was taken, so it is sent again under the same id."""
        peer.behave(Behaviour.RESET)

        error = await failure(notifier, via)

        assert error.retry

    async def test_a_closed_port_is_tried_again(self, via: Reach) -> None:
        """A channel that is away for hours comes back."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, so nobody else gets it, and not listening

            error = await failure(self.notifier_at(taken.getsockname()[1]), via)

        assert error.retry
        assert error.cause == "Connection refused"

    async def test_a_receiver_that_hangs_can_be_left(self, notifier: Notifier, peer: Peer, via: Reach) -> None:
        """The dispatcher's deadline ends it, and the socket is closed."""
        peer.behave(Behaviour.HANG)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(notifier.deliver(an_alert(), via), 0.2)

        await peer.until_idle()

    @pytest.mark.parametrize("behaviour", [Behaviour.REFUSE, Behaviour.REFUSE_FOR_NOW, Behaviour.RESET])
    async def test_no_secret_is_in_an_error(
        self, notifier: Notifier, peer: Peer, via: Reach, behaviour: Behaviour
    ) -> None:
        """Neither its text nor the traceback of all that caused it shows one."""
        peer.behave(behaviour)

        error = await failure(notifier, via)

        told = f"{error}{error!r}{''.join(traceback.format_exception(error))}"
        assert not [secret for secret in self.secrets if secret in told]

    async def test_no_secret_is_in_what_people_see(self, notifier: Notifier) -> None:
        """A log may hold the notifier and its address."""
        shown = f"{notifier!r}{notifier}{notifier.address}"

        assert notifier.address
        assert not [secret for secret in self.secrets if secret in shown]


class _HttpPeer(HttpPeer):
    """The peer of a channel that speaks HTTP."""

    def behave(self, behaviour: Behaviour) -> None:
        """Take messages this way from now on."""
        answers = {
            Behaviour.ACCEPT: OK,
            Behaviour.REFUSE_FOR_NOW: reply(503),
            Behaviour.REFUSE: reply(403),
            Behaviour.HANG: None,
            Behaviour.RESET: None,
        }
        self.answer = answers[behaviour]
        self.reset = behaviour is Behaviour.RESET

    def messages(self) -> list[bytes]:
        """Return the bodies."""
        return [request.body for request in self.requests]

    def ids(self) -> list[str]:
        """Return the idempotency keys."""
        return [request.headers["idempotency-key"] for request in self.requests]


class HttpNotifierContract(NotifierContract):
    """The promises of a notifier that posts JSON to a URL."""

    @pytest.fixture
    async def peer(self) -> AsyncIterator[HttpPeer]:
        """Give a receiver that takes everything."""
        async with _HttpPeer() as peer:
            yield peer

    @pytest.mark.parametrize("status", [200, 201, 202, 204])
    async def test_any_2xx_is_delivered(self, notifier: Notifier, peer: HttpPeer, via: Reach, status: int) -> None:
        """Vendors answer 200, 202 or 204."""
        peer.answer = reply(status)

        await notifier.deliver(an_alert(), via)

        [request] = peer.requests
        assert request.method == "POST"
        assert request.headers["content-type"] == "application/json"

    @pytest.mark.parametrize(
        ("status", "retry"),
        [
            *((status, False) for status in (300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 413, 422)),
            *((status, True) for status in (408, 425, 429, 500, 502, 503, 504)),
        ],
    )
    async def test_the_status_decides_whether_trying_again_can_help(
        self, notifier: Notifier, peer: HttpPeer, via: Reach, status: int, *, retry: bool
    ) -> None:
        """What the receiver may mend is tried again; what only the configuration can mend is not."""
        peer.answer = reply(status)

        error = await failure(notifier, via)

        assert error.retry is retry
        assert error.cause == f"HTTP {status} from 127.0.0.1"

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_a_redirect_is_not_followed(
        self, notifier: Notifier, peer: HttpPeer, via: Reach, status: int
    ) -> None:
        """An alert, and the token in its URL, go only where the configuration says."""
        async with HttpPeer() as elsewhere:
            peer.answer = reply(status, f"Location: {elsewhere.url('/stolen')}")

            error = await failure(notifier, via)

            assert not error.retry
            assert elsewhere.requests == []

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("7", 7),
            ("0", 0),
            ("99999999", 86400),
            ("9" * 5000, None),
            ("-5", None),
            ("soon", None),
            ("", None),
            ("Tue, 17 Feb 2026 03:30:00 GMT", 0),
            ("Tue, 17 Feb 2026 03:30:00 -0000", 0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
            ("Tue, 99 Feb 2026 03:30:00 GMT", None),
        ],
    )
    @pytest.mark.parametrize("status", [429, 503])
    async def test_the_wait_that_was_asked_for_is_kept_within_a_day(
        self, notifier: Notifier, peer: HttpPeer, via: Reach, status: int, value: str, seconds: int | None
    ) -> None:
        """Retry-After comes in seconds or as a date, and from strangers."""
        peer.answer = reply(status, f"Retry-After: {value}")

        error = await failure(notifier, via)

        assert error.retry
        assert error.after == (None if seconds is None else timedelta(seconds=seconds))

    async def test_a_date_to_come_is_a_wait(self, notifier: Notifier, peer: HttpPeer, via: Reach) -> None:
        """An HTTP date counts from the clock that the notifier was given."""
        until = (via.clock.now() + timedelta(hours=1)).astimezone(UTC)
        peer.answer = reply(429, f"Retry-After: {format_datetime(until, usegmt=True)}")

        error = await failure(notifier, via)

        assert error.after is not None
        assert timedelta(minutes=55) < error.after <= timedelta(hours=1)

    async def test_an_endless_answer_is_cut_and_its_status_counts(
        self, notifier: Notifier, peer: HttpPeer, via: Reach
    ) -> None:
        """A receiver that took the alert and then talks for ever is not told again and again."""
        peer.endless = b"x" * 65536
        peer.answer = b"HTTP/1.1 200 OK\r\n\r\n"
        await notifier.deliver(an_alert(), via)

        peer.answer = b"HTTP/1.1 500 Oh\r\n\r\n"
        error = await failure(notifier, via)

        assert error.retry
        assert error.cause == "HTTP 500 from 127.0.0.1"

    @pytest.mark.parametrize(
        "answer",
        [
            b"220 mail.example ESMTP\r\n",
            b"\x00" * 64,
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        ],
        ids=["another protocol", "zeros", "no status", "an endless header"],
    )
    async def test_an_answer_that_is_not_http_is_tried_again(
        self, notifier: Notifier, peer: HttpPeer, via: Reach, answer: bytes
    ) -> None:
        """Something else listens there for now."""
        peer.answer = answer

        error = await failure(notifier, via)

        assert error.retry

    async def test_a_body_is_the_same_at_every_attempt(self, notifier: Notifier, peer: HttpPeer, via: Reach) -> None:
        """A receiver that knows Idempotency-Key refuses one that comes with another body."""
        await notifier.deliver(an_alert(), via)
        await notifier.deliver(an_alert(), via)

        assert peer.requests[0].body == peer.requests[1].body


async def failure(notifier: Notifier, via: Reach, alert: Alert | None = None) -> DeliveryError:
    """Return the error with which the delivery fails."""
    with pytest.raises(DeliveryError) as caught:
        await notifier.deliver(alert or an_alert(), via)
    return caught.value

"""The ledger sink, and what a sender that is killed on the way leaves in it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest

from laya_uptime.adapters.notifiers.discord import DiscordNotifier
from laya_uptime.adapters.notifiers.email import EmailNotifier
from laya_uptime.adapters.notifiers.pagerduty import PagerDutyNotifier
from laya_uptime.adapters.notifiers.slack import SlackNotifier
from laya_uptime.adapters.notifiers.webhook import WebhookNotifier
from laya_uptime.domain.alert import Transition
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Notifier, Reach
from laya_uptime.testing.ledger import Answer, LedgerSink, Side
from laya_uptime.testing.notifier_contract import an_alert, failure


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[LedgerSink]:
    with LedgerSink(tmp_path / "ledger") as sink:
        yield sink


def mail(sink: LedgerSink) -> Notifier:
    return EmailNotifier(to=["ops@school.example"], server="127.0.0.1", port=sink.smtp_port, tls="none")


def webhook(sink: LedgerSink) -> Notifier:
    return WebhookNotifier(url=Secret(sink.url("/webhook")))


async def test_mail_is_written_down_with_all_that_identifies_it(sink: LedgerSink, via: Reach) -> None:
    before = via.clock.now()

    await mail(sink).deliver(an_alert(), via)

    [entry] = sink.entries()
    assert entry.channel == "email"
    assert entry.accepted
    assert before <= entry.received_at <= via.clock.now()
    assert entry.received_at.tzinfo is not None
    assert entry.received_at.astimezone(UTC) == entry.received_at
    assert entry.recipients == ("ops@school.example",)
    assert entry.message_id == f"<{an_alert().id}@laya.local>"
    assert entry.delivery_id == an_alert().id
    assert entry.dedup_key == an_alert().dedup_key
    assert (entry.status, entry.service, entry.transition) == ("failure", "AI Service", "down")
    assert entry.subject == "DOWN: AI Service - Connection refused"
    assert entry.raw.startswith(b"From: monitoring@laya.local\r\n")


async def test_posts_are_written_down_under_the_name_of_their_path(sink: LedgerSink, via: Reach) -> None:
    alert = an_alert(Transition.RECOVERED)
    await webhook(sink).deliver(alert, via)
    await SlackNotifier(webhook=Secret(sink.url("/slack/T/B/x"))).deliver(alert, via)
    await DiscordNotifier(webhook=Secret(sink.url("/discord/1/x?wait=true"))).deliver(alert, via)
    await PagerDutyNotifier(routing_key=Secret("k3y"), url=sink.url("/pagerduty")).deliver(alert, via)

    entries = sink.entries()

    assert [entry.channel for entry in entries] == ["webhook", "slack", "discord", "pagerduty"]
    assert {entry.delivery_id for entry in entries} == {alert.id}
    [posted] = sink.entries("webhook")
    assert (posted.status, posted.service, posted.transition) == ("recovered", "AI Service", "recovered")
    assert posted.dedup_key == alert.dedup_key
    assert dict(posted.headers)["Content-Type"] == "application/json"
    assert sink.entries("slack")[0].subject == "RECOVERED: AI Service after 0:02:00"
    assert sink.entries("pagerduty")[0].status == "resolve"


@pytest.mark.parametrize(("side", "make"), [("email", mail), ("http", webhook)])
async def test_refusals_are_written_down_and_used_up(sink: LedgerSink, via: Reach, side: Side, make: object) -> None:
    assert callable(make)
    for_now, final = (451, 554) if side == "email" else (429, 410)
    sink.answer(side, Answer(status=for_now, retry_after="7"), Answer(status=final))

    first = await failure(make(sink), via)
    second = await failure(make(sink), via)
    await make(sink).deliver(an_alert(), via)

    assert (first.retry, second.retry) == (True, False)
    assert first.after is None or first.after.total_seconds() == 7
    assert [(entry.answer, entry.accepted) for entry in sink.entries()] == [
        (for_now, False),
        (final, False),
        (250 if side == "email" else 200, True),
    ]


@pytest.mark.parametrize(("side", "make"), [("email", mail), ("http", webhook)])
async def test_a_reset_after_the_ledger_makes_one_duplicate_with_the_same_id(
    sink: LedgerSink, via: Reach, side: Side, make: object
) -> None:
    assert callable(make)
    sink.answer(side, Answer(reset=True))

    error = await failure(make(sink), via)
    await make(sink).deliver(an_alert(), via)

    assert error.retry
    assert [(entry.accepted, entry.delivery_id) for entry in sink.entries()] == [(True, an_alert().id)] * 2


@pytest.mark.parametrize(("side", "make"), [("email", mail), ("http", webhook)])
async def test_an_answer_may_come_late_and_twice(sink: LedgerSink, via: Reach, side: Side, make: object) -> None:
    assert callable(make)
    sink.answer_always(side, Answer(delay=0.05, twice=True))

    before = via.clock.monotonic()
    await make(sink).deliver(an_alert(), via)

    assert via.clock.monotonic() - before >= 0.05
    assert len(sink.wait_for(1)) == 1


async def test_the_sink_comes_back_on_its_ports_with_its_ledger(sink: LedgerSink, via: Reach) -> None:
    await webhook(sink).deliver(an_alert(), via)
    away = webhook(sink), mail(sink)

    sink.stop()
    errors = [await failure(notifier, via) for notifier in away]
    sink.start()
    for notifier in away:
        await notifier.deliver(an_alert(), via)

    assert [error.cause for error in errors] == ["Connection refused"] * 2
    assert len(sink.entries()) == 3


def test_waiting_for_what_does_not_come_says_so(sink: LedgerSink) -> None:
    with pytest.raises(TimeoutError, match="0 of 1 messages"):
        sink.wait_for(1, seconds=0.05)


SENDER = """
import asyncio, sys
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.adapters.notifiers.email import EmailNotifier
from laya_uptime.adapters.notifiers.webhook import WebhookNotifier
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.secret import Secret
from laya_uptime.testing.notifier_contract import an_alert

kind, target = sys.argv[1:]
if kind == "email":
    notifier = EmailNotifier(to=["ops@school.example"], server="127.0.0.1", port=int(target), tls="none")
else:
    notifier = WebhookNotifier(url=Secret(target))
via = GuardedDialer(clock=SystemClock(), policy=EgressPolicy())
asyncio.run(notifier.deliver(an_alert(), via))
"""


@pytest.mark.parametrize(
    ("point", "arrived"),
    [
        ("delivery.before_connect", 0),
        ("delivery.body_half_sent", 0),
        ("delivery.bytes_sent", 1),
        ("delivery.response_read", 1),
    ],
)
@pytest.mark.parametrize("kind", ["email", "webhook"])
def test_d01_a_sender_killed_at_a_point_has_sent_all_of_the_message_or_none(
    sink: LedgerSink, tmp_path: Path, kind: str, point: str, arrived: int
) -> None:
    target = str(sink.smtp_port) if kind == "email" else sink.url("/webhook")
    script = tmp_path / "sender.py"
    script.write_text(SENDER, encoding="utf-8")

    def run(failpoints: str) -> int:
        environment = os.environ | {"LAYA_UPTIME_FAILPOINTS": failpoints}
        return subprocess.run([sys.executable, script, kind, target], env=environment, check=False).returncode

    killed = run(f"{point}=kill")
    again = run("")

    assert (killed, again) == (-signal.SIGKILL, 0)
    entries = sink.wait_for(arrived + 1)
    assert [entry.delivery_id for entry in entries] == [an_alert().id] * (arrived + 1)


def test_the_sink_dies_with_whoever_started_it(tmp_path: Path) -> None:
    sink = LedgerSink(tmp_path)
    sink.start()
    process = sink._process
    assert process is not None
    assert process.stdin is not None

    process.stdin.close()

    assert process.wait(timeout=10) == 0
    sink.stop()

"""The log lines, one test per documented row: Round and Result values in, records of the `laya_uptime` logger out."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from laya_uptime.adapters.console import Console
from laya_uptime.domain.alert import Transition
from laya_uptime.domain.incident import Followed, Incident
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import HealthMode, Monitor, Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import (
    Answer,
    Body,
    Component,
    Evidence,
    Failure,
    Outcome,
    Result,
    Seen,
    TlsFacts,
    Verdict,
)
from laya_uptime.domain.status import Status, fresh
from laya_uptime.ports import Round
from laya_uptime.testing import NOON, RecordingNotifier, a_channel, a_monitor, a_probe, an_alert_due, an_incident
from laya_uptime.testing.observations import a_certificate

MS = timedelta(milliseconds=1)
AI_SERVICE = a_monitor("ai-service", name="AI Service", rules=Rules(health=HealthMode.REQUIRED))
ALERT = an_alert_due().alert
Said = list[tuple[str, str]]


@pytest.fixture
def said() -> Iterator[Said]:
    """Hand out what was logged, as (level, message), filled as it comes."""
    lines: Said = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append((record.levelname, record.getMessage()))

    log, keep = logging.getLogger("laya_uptime"), Keep()
    level = log.level
    log.setLevel(logging.DEBUG)
    log.addHandler(keep)
    yield lines
    log.removeHandler(keep)
    log.setLevel(level)


def seen(what: Seen, *, monitor: Monitor = AI_SERVICE, elapsed: timedelta = 42 * MS) -> Result:
    observation = replace(a_probe(".", monitor, elapsed=elapsed), seen=what)
    return Result(observation=observation, verdict=judge(observation, monitor.rules))


def answer(status: int, word: str | None = None) -> Answer:
    if word is None:
        return Answer(Evidence(status=status, body=Body(content_type="text/html", text="<html>", size=6)))
    document = {"status": word}
    body = Body(content_type="application/json", text=f'{{"status": "{word}"}}', document=document, is_document=True)
    return Answer(Evidence(status=status, body=body))


def a_round(
    result: Result,
    transition: Transition | None = None,
    *,
    closed: Incident | None = None,
    failures: int = 0,
    monitor: Monitor = AI_SERVICE,
) -> Round:
    status = Status.DOWN if failures else Status.UP
    return Round(
        monitor=monitor,
        result=result,
        health=replace(fresh(NOON), status=status, streak=failures, believed=status),
        followed=Followed(transition=transition, closed=closed, current=None if closed else an_incident()),
    )


@pytest.mark.parametrize(("word", "label"), [("healthy", "healthy"), ("alive", "alive"), ("ok", "ok"), ("UP", "up")])
def test_a_passing_check_is_one_line_with_the_services_own_word(said: Said, word: str, label: str) -> None:
    Console().round_done(a_round(seen(answer(200, word))))

    assert said == [("INFO", f"✓ AI Service: {label} (200) - 42ms")]


@pytest.mark.parametrize("code", [200, 503])
def test_a_degraded_service_is_a_warning_and_its_cause_is_told_once(said: Said, code: int) -> None:
    console = Console()

    for _ in range(3):
        console.round_done(a_round(seen(answer(code, "degraded"), elapsed=120 * MS)))

    line = ("WARNING", f"⚠ AI Service: degraded ({code}) - 120ms")
    assert said == [line, ("WARNING", "   AI Service: the body says degraded"), line, line]


def test_what_has_no_code_shows_none(said: Said) -> None:
    monitor = a_monitor("mail", name="Mail")
    expiring = a_certificate(NOON)
    degraded = seen(Answer(Evidence(tls=TlsFacts(chain=(expiring,)))), monitor=monitor)
    otherwise = seen(Failure(Reason.ASSERTION, 'expected "^220 ", actual "421 busy"'), monitor=monitor)

    Console().round_done(a_round(degraded, monitor=monitor))
    Console().round_done(a_round(otherwise, monitor=monitor))

    assert [line for _, line in said if not line.startswith(" ")] == [
        "⚠ Mail: degraded - 42ms",
        '✗ Mail: Invalid response - expected "^220 ", actual "421 busy" - 42ms',
    ]


def test_a_service_unhealthy_by_its_own_word_is_a_warning_and_counts_as_a_failure(said: Said) -> None:
    Console().round_done(a_round(seen(answer(503, "unhealthy")), Transition.DOWN, failures=1))

    assert said == [
        ("WARNING", "⚠ AI Service: unhealthy (503) - 42ms"),
        ("WARNING", "   AI Service: the body says unhealthy"),
        ("ERROR", "🚨 AI Service: ALERT - 1 consecutive failures"),
    ]


def test_no_connection_is_an_error_with_a_plain_cause(said: Said) -> None:
    Console().round_done(a_round(seen(Failure(Reason.REFUSED, "Connection refused"))))

    assert said == [("ERROR", "✗ AI Service: Connection failed - Connection refused")]


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (Reason.DNS, "Name not found: ai.laya.example"),
        (Reason.UNREACHABLE, "No route to host"),
        (Reason.RESET, "Connection reset by the other side"),
        (Reason.TLS_EXPIRED, "certificate expired 2 days ago"),
        (Reason.TLS_HOSTNAME, "certificate is for other.example"),
        (Reason.TLS_SELF_SIGNED, "certificate is self-signed"),
        (Reason.TLS_HANDSHAKE, "no common TLS version"),
    ],
)
def test_other_connection_faults_are_told_the_same_way(said: Said, reason: Reason, cause: str) -> None:
    Console().round_done(a_round(seen(Failure(reason, cause))))

    assert said == [("ERROR", f"✗ AI Service: Connection failed - {cause}")]


@pytest.mark.parametrize(("timeout", "shown"), [("10s", "10"), ("2500ms", "2.5"), ("1m", "60")])
def test_a_timeout_names_the_time_that_was_given(said: Said, timeout: str, shown: str) -> None:
    monitor = replace(AI_SERVICE, timeout=a_monitor(timeout=timeout).timeout)
    result = seen(Failure(Reason.TIMEOUT, "no answer", phase="wait"), monitor=monitor)

    Console().round_done(a_round(result, monitor=monitor))

    assert said == [
        ("ERROR", f"✗ AI Service: Request timeout (>{shown}s)"),
        ("WARNING", "   AI Service: no answer, waiting for the first byte"),
    ]


@pytest.mark.parametrize("code", [404, 500, 503])
def test_another_status_is_an_error_with_its_code(said: Said, code: int) -> None:
    Console().round_done(a_round(seen(answer(code))))

    assert said == [("ERROR", f"✗ AI Service: HTTP {code} - 42ms")]


def test_a_status_that_contradicts_the_body_says_so_once(said: Said) -> None:
    Console().round_done(a_round(seen(answer(500, "healthy"))))

    assert said[0] == ("ERROR", "✗ AI Service: HTTP 500 - 42ms")
    assert said[1][1].strip().startswith("AI Service: HTTP 500, though the body says healthy")


def test_an_answer_that_is_no_health_document_is_invalid(said: Said) -> None:
    Console().round_done(a_round(seen(answer(200))))

    assert said == [
        ("ERROR", "✗ AI Service: Invalid response - body is HTML, not a health document (200) - 42ms"),
    ]


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (Reason.TRUNCATED, "body ended after 10 of 100 bytes"),
        (Reason.TOO_LARGE, "body is larger than 1 MiB"),
        (Reason.ASSERTION, "expected status == 200, actual status = 204"),
    ],
)
def test_other_answers_that_cannot_be_used_are_invalid_too(said: Said, reason: Reason, cause: str) -> None:
    observation = replace(a_probe(".", AI_SERVICE, elapsed=42 * MS), seen=answer(204))
    verdict = Verdict(outcome=Outcome.DOWN, label="down", reason=reason, detail=cause)

    Console().round_done(a_round(Result(observation=observation, verdict=verdict)))

    assert said[0] == ("ERROR", f"✗ AI Service: Invalid response - {cause} (204) - 42ms")
    assert all(cause in text for _, text in said)


@pytest.mark.parametrize(("transition", "failures"), [("down", 1), ("reminder", 5), ("reminder", 10)])
def test_the_first_and_every_fifth_failure_are_an_alert(said: Said, transition: str, failures: int) -> None:
    result = seen(Failure(Reason.REFUSED, "Connection refused"))

    Console().round_done(a_round(result, Transition(transition), failures=failures))

    assert said == [
        ("ERROR", "✗ AI Service: Connection failed - Connection refused"),
        ("ERROR", f"🚨 AI Service: ALERT - {failures} consecutive failures"),
    ]


@pytest.mark.parametrize(
    ("minutes", "shown"), [(2, "0:02:00"), (61, "1:01:00"), (49 * 60, "49:00:00")], ids=["minutes", "hours", "days"]
)
def test_a_recovery_tells_the_failures_and_the_downtime(said: Said, minutes: int, shown: str) -> None:
    over = replace(an_incident(failures=2), resolved_at=NOON + timedelta(minutes=minutes))

    Console().round_done(a_round(seen(answer(200, "healthy"), elapsed=45 * MS), Transition.RECOVERED, closed=over))

    assert said == [
        ("INFO", "✓ AI Service: healthy (200) - 45ms"),
        ("INFO", f"🔄 AI Service: RECOVERED after 2 failures (downtime: {shown})"),
    ]


def test_a_recovery_tells_how_much_of_it_nobody_saw(said: Said) -> None:
    over = replace(an_incident(), resolved_at=NOON + timedelta(hours=2), unseen=timedelta(hours=1, seconds=5))

    Console().round_done(a_round(seen(answer(200, "healthy")), Transition.RECOVERED, closed=over))

    assert said[-1] == ("INFO", "   AI Service: nobody looked for 1:00:05 of it")


@pytest.mark.parametrize("transition", [None, Transition.DEGRADED, Transition.HEALTHY])
def test_other_changes_have_no_line_beside_the_checks_own(said: Said, transition: Transition | None) -> None:
    Console().round_done(a_round(seen(answer(200, "healthy")), transition))

    assert said == [("INFO", "✓ AI Service: healthy (200) - 42ms")]


def test_a_check_that_says_nothing_about_the_target_is_no_failure(said: Said) -> None:
    Console().round_done(a_round(seen(Failure(Reason.PROBE_OFFLINE, "our own network is away"))))

    assert said == [("WARNING", "? AI Service: Unknown - our own network is away")]


def test_a_delivered_mail_names_its_address(said: Said) -> None:
    mail = a_channel(RecordingNotifier("alerts@example.com"), kind="email", title="Email")

    Console().delivered(mail, ALERT)

    assert said == [("INFO", "📧 Email alert sent to alerts@example.com")]


def test_a_delivered_webhook_names_nobody(said: Said) -> None:
    Console().delivered(a_channel(RecordingNotifier("hooks.example.com")), ALERT)

    assert said == [("INFO", "📡 Webhook alert sent successfully")]


@pytest.mark.parametrize(
    ("kind", "title", "sign"), [("email", "Email", "📧"), ("webhook", "Webhook", "📡"), ("slack", "Slack", "📡")]
)
def test_a_failed_delivery_tells_its_cause_and_when_it_is_tried_again(
    said: Said, kind: str, title: str, sign: str
) -> None:
    channel = a_channel(kind=kind, title=title)

    Console().delivery_failed(channel, ALERT, "Connection refused", wait=timedelta(seconds=4.6))
    Console().delivery_failed(channel, ALERT, "Connection refused", wait=None)

    assert said == [
        ("ERROR", f"{sign} {title} alert failed - Connection refused, next try in 5s"),
        ("ERROR", f"{sign} {title} alert failed - Connection refused, giving up"),
    ]


def test_a_resumed_outage_is_told_in_local_time(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    since = datetime(2026, 2, 17, 3, 26, tzinfo=UTC)

    Console().resumed(AI_SERVICE, an_incident(at=since))

    local = since.astimezone()
    assert said == [("INFO", f"Resuming: AI Service down since {local:%Y-%m-%d %H:%M:%S}")]


def test_own_trouble_and_its_end_are_one_line_each(said: Said) -> None:
    Console().trouble("The database cannot be written:\nno space")
    Console().relief("The database can be written again")

    assert said == [
        ("ERROR", "The database cannot be written: no space"),
        ("INFO", "The database can be written again"),
    ]


def test_a_targets_words_never_start_a_second_line(said: Said) -> None:
    hostile = "refused\n2026-02-17 03:26:00 - INFO - ✓ AI Service: healthy (200) - 1ms\x1b[2J"

    Console().round_done(a_round(seen(Failure(Reason.REFUSED, hostile))))

    assert all("\n" not in text and "\x1b" not in text for _, text in said)


def test_a_cause_is_told_again_when_it_changes_or_comes_back(said: Said) -> None:
    console = Console()
    words = {
        "disk": (Component(name="disk", word="warning", outcome=Outcome.DEGRADED),),
        "redis": (Component(name="redis", word="slow", outcome=Outcome.DEGRADED),),
    }

    for cause in ("disk", "disk", "redis", None, "redis"):
        result = seen(answer(200, "degraded" if cause else "healthy"))
        if cause:
            verdict = replace(result.verdict, components=words[cause], detail=f"{cause} warning")
            result = replace(result, verdict=verdict)
        console.round_done(a_round(result))

    assert [text.strip() for _, text in said if text.startswith("   ")] == [
        "AI Service: disk warning",
        "AI Service: redis warning",
        "AI Service: redis warning",
    ]


def test_a_check_outside_any_service_has_the_same_line(said: Said) -> None:
    Console().looked(AI_SERVICE, seen(answer(200, "healthy")))

    assert said == [("INFO", "✓ AI Service: healthy (200) - 42ms")]


def test_a_face_may_count_slots_and_hear_of_first_looks(said: Said) -> None:
    slots: list[datetime] = []
    first: list[str] = []
    console = Console(slot_over=slots.append, first_look=lambda round_: first.append(round_.monitor.id))

    console.slot_over("ai-service", NOON)
    for _ in range(2):
        console.round_done(a_round(seen(answer(200, "healthy"))))

    assert slots == [NOON]
    assert first == ["ai-service"]


def test_where_changes_alone_are_told_a_line_says_what_the_last_one_did_not(said: Said) -> None:
    console = Console(every_check=False)
    other = a_monitor("gibbon", name="Gibbon", rules=AI_SERVICE.rules)

    for number, word in enumerate(["healthy", "healthy", "ok", "ok", "healthy"]):
        console.round_done(a_round(seen(answer(200, word), elapsed=(40 + number) * MS)))
    console.round_done(a_round(seen(answer(200, "healthy"), monitor=other), monitor=other))

    assert [line for _, line in said] == [
        "✓ AI Service: healthy (200) - 40ms",
        "✓ AI Service: ok (200) - 42ms",
        "✓ AI Service: healthy (200) - 44ms",
        "✓ Gibbon: healthy (200) - 42ms",
    ]


def test_where_changes_alone_are_told_alerts_are_told_all_the_same(said: Said) -> None:
    console = Console(every_check=False)
    refused = seen(Failure(Reason.REFUSED, "Connection refused"))

    console.round_done(a_round(refused, Transition.DOWN, failures=1))
    console.round_done(a_round(refused, failures=2))
    console.round_done(a_round(refused, Transition.REMINDER, failures=5))
    console.round_done(a_round(seen(Failure(Reason.RESET, "Connection reset")), failures=6))

    assert [line for _, line in said] == [
        "✗ AI Service: Connection failed - Connection refused",
        "🚨 AI Service: ALERT - 1 consecutive failures",
        "🚨 AI Service: ALERT - 5 consecutive failures",
        "✗ AI Service: Connection failed - Connection reset",
    ]

"""What an alert says, in the documented words."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from laya_uptime.domain.alert import AlertFacts, AlertStatus, Statistics, Transition
from laya_uptime.domain.facts import alert_status, evidence_of, facts_of, own_facts
from laya_uptime.domain.incident import Incident, Severity
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import (
    AssertionResult,
    Attempted,
    Certificate,
    Component,
    Evidence,
    Hop,
    Outcome,
    Phases,
    Result,
    TlsFacts,
)
from laya_uptime.testing import NOON, a_monitor, a_result, an_incident

MINUTE = timedelta(minutes=1)
MS = timedelta(milliseconds=1)
TORONTO = timezone(timedelta(hours=-5))


def facts(
    transition: Transition,
    incident: Incident | None = None,
    *,
    sign: str = "x",
    result: Result | None = None,
    failures: int = 1,
    local: Callable[[datetime], datetime] = lambda at: at,
) -> AlertFacts:
    statistics = Statistics(total_checks=10, total_failures=failures, consecutive_failures=failures)
    monitor = a_monitor("ai-service", name="AI Service")
    return facts_of(
        monitor, result or a_result(sign, monitor), transition, incident or an_incident(), statistics, local=local
    )


@pytest.mark.parametrize(
    ("transition", "reason", "expected"),
    [
        (Transition.DOWN, Reason.REFUSED, AlertStatus.FAILURE),
        (Transition.DOWN, Reason.REPORTED_UNHEALTHY, AlertStatus.UNHEALTHY),
        (Transition.REMINDER, Reason.HTTP_STATUS, AlertStatus.FAILURE),
        (Transition.REMINDER, Reason.REPORTED_UNHEALTHY, AlertStatus.UNHEALTHY),
        (Transition.RECOVERED, Reason.REPORTED_UNHEALTHY, AlertStatus.RECOVERED),
        (Transition.DEGRADED, Reason.REPORTED_DEGRADED, AlertStatus.DEGRADED),
        (Transition.HEALTHY, Reason.REPORTED_DEGRADED, AlertStatus.HEALTHY),
        (Transition.UNDELIVERED, None, AlertStatus.FAILURE),
    ],
)
def test_the_status_word_says_what_happened(
    transition: Transition, reason: Reason | None, expected: AlertStatus
) -> None:
    assert alert_status(transition, reason) is expected


def test_a_failure_is_told_with_its_count() -> None:
    assert facts(Transition.DOWN).message == "Service is down (1 consecutive failures)"
    assert facts(Transition.REMINDER, failures=5).message == "Service is down (5 consecutive failures)"


def test_unhealthy_by_its_own_word_is_told_so() -> None:
    incident = replace(an_incident(), reason=Reason.REPORTED_UNHEALTHY)

    told = facts(Transition.DOWN, incident, sign="u", failures=3)

    assert told.status == "unhealthy"
    assert told.message == "Service is unhealthy (3 consecutive failures)"


def test_a_recovery_is_told_with_the_failures_and_the_downtime() -> None:
    over = replace(an_incident(failures=2), resolved_at=NOON + 2 * MINUTE)

    told = facts(Transition.RECOVERED, over, sign=".", failures=0)

    assert told.message == "Service recovered after 2 failures (downtime: 0:02:00)"
    assert told.downtime == 2 * MINUTE
    assert told.reason is None


def test_a_recovery_into_a_warning_says_so() -> None:
    over = replace(an_incident(failures=2), resolved_at=NOON + 26 * 60 * MINUTE)

    told = facts(Transition.RECOVERED, over, sign="d", failures=0)

    assert told.status == "recovered"
    assert told.message == (
        "Service recovered after 2 failures (downtime: 26:00:00), still degraded: the body says degraded"
    )


def test_a_warning_is_told_with_its_cause_and_its_end_plainly() -> None:
    warned = an_incident(severity=Severity.DEGRADED)

    assert facts(Transition.DEGRADED, warned, sign="d").message == "Service is degraded: the body says degraded"
    assert facts(Transition.HEALTHY, warned, sign=".").message == "Service is healthy again"


def test_the_cause_is_told_with_the_word_and_the_sentence() -> None:
    told = facts(Transition.DOWN)

    assert (told.reason, told.detail) == ("refused", "Connection refused")
    assert (told.service, told.monitor_id, told.url) == ("AI Service", "ai-service", "https://shop.example/health")


def test_instants_are_told_in_the_zone_that_people_read() -> None:
    over = replace(an_incident(), confirmed_at=NOON + MINUTE, resolved_at=NOON + 2 * MINUTE)

    told = facts(Transition.RECOVERED, over, sign=".", local=lambda at: at.astimezone(TORONTO))

    for instant in (told.at, told.first_failure, told.confirmed, told.recovered):
        assert instant is not None
        assert instant.tzinfo is TORONTO
    assert told.first_failure == NOON
    assert told.confirmed == NOON + MINUTE
    assert told.recovered == NOON + 2 * MINUTE


def test_a_warning_counts_from_when_it_was_first_seen() -> None:
    told = facts(Transition.DEGRADED, an_incident(severity=Severity.DEGRADED), sign="d")

    assert told.first_failure == NOON
    assert told.downtime is None


def test_time_when_nobody_looked_is_named_only_where_there_was_some() -> None:
    assert facts(Transition.DOWN).unseen is None
    assert facts(Transition.DOWN, replace(an_incident(), unseen=MINUTE)).unseen == MINUTE


def test_failing_components_and_expectations_are_told_and_passing_ones_are_not() -> None:
    result = a_result("d")
    verdict = replace(
        result.verdict,
        components=(
            Component(name="database", word="ok", outcome=Outcome.UP),
            Component(name="disk_space", word="warning", outcome=Outcome.DEGRADED, message="Disk space running low"),
            Component(name="redis", word="down", outcome=Outcome.DOWN),
        ),
        assertions=(
            AssertionResult(text="status == 200", holds=False, actual=(("status", "500"),)),
            AssertionResult(text="latency < 1s", holds=True, actual=(("latency", "43 ms"),)),
        ),
    )

    told = facts(Transition.DOWN, result=replace(result, verdict=verdict))

    assert told.components == ("disk_space warning, Disk space running low", "redis down")
    assert told.assertions == ("expected status == 200, actual status = 500",)


def test_evidence_leaves_the_house_without_bodies_and_secrets() -> None:
    certificate = Certificate(
        subject="CN=shop", issuer="CN=CA", names=("shop",), not_before=NOON, not_after=NOON + MINUTE, fingerprint="ff"
    )
    seen = Evidence(
        addresses=("192.0.2.10", "192.0.2.11"),
        address="192.0.2.10",
        phases=Phases(dns=1.26 * MS, connect=2 * MS),
        http_version="1.1",
        status=503,
        headers=(("server", "nginx"), ("set-cookie", "session=SECRET"), ("x-api-key", "SECRET")),
        tls=TlsFacts(version="TLSv1.3", chain=(certificate,)),
        redirects=(Hop(url="http://shop", status=301, location="https://shop", phases=Phases()),),
    )

    told = evidence_of(seen, (AssertionResult(text="status == 200", holds=False, actual=(("status", "503"),)),))

    assert told == {
        "addresses": ["192.0.2.10", "192.0.2.11"],
        "address": "192.0.2.10",
        "phases_ms": {"dns": 1.3, "connect": 2.0},
        "status": 503,
        "http_version": "1.1",
        "headers": {"server": "nginx"},
        "redirects": [{"url": "http://shop", "status": 301, "location": "https://shop"}],
        "tls": {
            "version": "TLSv1.3",
            "subject": "CN=shop",
            "issuer": "CN=CA",
            "expires": (NOON + MINUTE).isoformat(),
        },
        "assertions": [{"expected": "status == 200", "holds": False, "actual": {"status": "503"}}],
    }


def test_every_address_that_was_tried_is_told_and_why_it_was_not_the_one() -> None:
    tried = (
        Attempted(address="2001:db8::10", took=250.06 * MS, cause="no answer by then"),
        Attempted(address="192.0.2.10", took=3 * MS),
    )

    assert evidence_of(Evidence(attempts=tried)) == {
        "attempts": [
            {"address": "2001:db8::10", "ms": 250.1, "cause": "no answer by then"},
            {"address": "192.0.2.10", "ms": 3.0},
        ]
    }


def test_evidence_of_nothing_is_nothing() -> None:
    assert evidence_of(Evidence()) == {}


@pytest.mark.parametrize(("is_good", "status"), [(True, AlertStatus.RECOVERED), (False, AlertStatus.FAILURE)])
def test_own_trouble_is_told_in_our_own_name(is_good: bool, status: AlertStatus) -> None:
    told = own_facts("laya-uptime itself is in trouble", detail="disk full", at=NOON.astimezone(UTC), is_good=is_good)

    assert (told.service, told.monitor_id, told.status) == ("laya-uptime", "laya-uptime", status)
    assert told.reason == (None if is_good else "internal")

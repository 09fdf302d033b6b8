"""What an alert says: the facts of a transition, gathered once and told to every channel alike."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from laya_uptime.domain.alert import AlertFacts, AlertStatus, Statistics, Transition
from laya_uptime.domain.certificates import key_words
from laya_uptime.domain.incident import Incident
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import (
    AssertionResult,
    Component,
    DnsFacts,
    Evidence,
    Outcome,
    PingFacts,
    Result,
    TlsFacts,
)
from laya_uptime.domain.text import cut, one_line
from laya_uptime.domain.wording import clock_text

_MS = timedelta(milliseconds=1)
_MOST_ANSWERS = 20  # of a name server, as an alert tells them
_ANSWER = 500
_LONGEST_SAID = 200  # UTF-16 units: enough to tell who answered
TOLD_HEADERS = frozenset({"content-type", "content-length", "date", "location", "retry-after", "server", "via"})


def facts_of(
    monitor: Monitor,
    result: Result,
    transition: Transition,
    incident: Incident,
    statistics: Statistics,
    *,
    local: Callable[[datetime], datetime],
) -> AlertFacts:
    """Return what to tell of a transition. `local` puts instants into the time zone that people read."""
    verdict = result.verdict
    status = alert_status(transition, incident.reason)
    told = [instant and local(instant) for instant in (incident.down_at, incident.confirmed_at, incident.resolved_at)]
    first_failure, confirmed, recovered = told
    return AlertFacts(
        service=monitor.name,
        monitor_id=monitor.id,
        status=status,
        url=monitor.target,
        message=_message(status, incident, statistics, result),
        at=local(result.observation.at),
        statistics=statistics,
        reason=None if verdict.reason is None else str(verdict.reason),
        detail=verdict.detail,
        components=_lines_of(verdict.components),
        assertions=tuple(assertion.explain() for assertion in verdict.assertions if not assertion.holds),
        first_failure=first_failure or local(incident.opened_at),
        confirmed=confirmed,
        recovered=recovered,
        downtime=incident.downtime,
        unseen=incident.unseen or None,
        evidence=evidence_of(result.observation.evidence, verdict.assertions),
    )


def alert_status(transition: Transition, reason: Reason | None) -> AlertStatus:
    """Return the `status` word that a webhook body carries."""
    match transition:
        case Transition.DOWN | Transition.REMINDER:
            unhealthy = reason is Reason.REPORTED_UNHEALTHY
            return AlertStatus.UNHEALTHY if unhealthy else AlertStatus.FAILURE
        case Transition.RECOVERED:
            return AlertStatus.RECOVERED
        case Transition.DEGRADED:
            return AlertStatus.DEGRADED
        case Transition.HEALTHY:
            return AlertStatus.HEALTHY
        case Transition.UNDELIVERED:
            return AlertStatus.FAILURE


def own_facts(
    message: str, *, detail: str, at: datetime, is_good: bool, status: AlertStatus | None = None
) -> AlertFacts:
    """Return an alert about laya-uptime itself: it is the service then."""
    return AlertFacts(
        service="laya-uptime",
        monitor_id="laya-uptime",
        status=status or (AlertStatus.RECOVERED if is_good else AlertStatus.FAILURE),
        url="",
        message=message,
        at=at,
        statistics=Statistics(),
        reason=None if is_good else str(Reason.INTERNAL),
        detail=detail,
    )


def evidence_of(evidence: Evidence, assertions: Sequence[AssertionResult] = ()) -> dict[str, object]:
    """Return the evidence as JSON values that may leave the house: no body, and only headers that carry no secret."""
    told: dict[str, object] = {
        "dns": _dns(evidence.dns) if evidence.dns else None,
        "addresses": list(evidence.addresses),
        "address": evidence.address,
        "phases_ms": {step: round(took / _MS, 1) for step, took in evidence.phases.reached()},
        "status": evidence.status,
        "http_version": evidence.http_version,
        "headers": {name: value for name, value in evidence.headers if name in TOLD_HEADERS},
        "redirects": [{"url": hop.url, "status": hop.status, "location": hop.location} for hop in evidence.redirects],
        "tls": _tls(evidence.tls) if evidence.tls else None,
        "ping": _ping(evidence.ping) if evidence.ping else None,
        "figures": dict(evidence.report.figures) if evidence.report else None,
        "said": cut(evidence.said, _LONGEST_SAID),
        "assertions": [
            {"expected": assertion.text, "holds": assertion.holds, "actual": dict(assertion.actual)}
            for assertion in assertions
        ],
    }
    return {key: value for key, value in told.items() if value not in (None, "", [], {})}


def _ping(ping: PingFacts) -> dict[str, object]:
    told: dict[str, object] = {"sent": ping.sent, "received": len(ping.rtts), "loss_percent": ping.loss}
    if ping.rtt is not None:
        told |= {"rtt_ms": round(ping.rtt / _MS, 3), "rtts_ms": [round(rtt / _MS, 3) for rtt in ping.rtts]}
    return told


def _dns(facts: DnsFacts) -> dict[str, object]:
    told: dict[str, object] = {
        "name": facts.name,
        "record": facts.record,
        "server": facts.server,
        "rcode": facts.rcode,
        "answers": [cut(one_line(answer), _ANSWER) for answer in facts.answers[:_MOST_ANSWERS]],
        "aliases": list(facts.aliases),
        "authenticated": facts.authenticated,
        "tcp": facts.tcp,
        "why": one_line(facts.why),
    }
    return {key: value for key, value in told.items() if value not in ("", [], False)}


def _tls(tls: TlsFacts) -> dict[str, object]:
    leaf = tls.chain[0] if tls.chain else None
    told: dict[str, object] = {"version": tls.version, "fault": tls.fault}
    if leaf is not None:
        told |= {"subject": leaf.subject, "issuer": leaf.issuer, "expires": leaf.not_after.isoformat()}
        told |= {"key": key_words(leaf), "signature": leaf.digest or None}
    return {key: value for key, value in told.items() if value}


def _lines_of(components: Sequence[Component]) -> tuple[str, ...]:
    return tuple(
        f"{part.name} {part.word}, {part.message}" if part.message else f"{part.name} {part.word}"
        for part in components
        if part.outcome is not Outcome.UP
    )


def _message(status: AlertStatus, incident: Incident, statistics: Statistics, result: Result) -> str:
    match status:
        case AlertStatus.FAILURE | AlertStatus.UNHEALTHY:
            word = "down" if status is AlertStatus.FAILURE else "unhealthy"
            return f"Service is {word} ({statistics.consecutive_failures} consecutive failures)"
        case AlertStatus.RECOVERED:
            downtime = clock_text(incident.downtime or timedelta(0))
            sentence = f"Service recovered after {incident.failures} failures (downtime: {downtime})"
            if result.verdict.outcome is Outcome.DEGRADED:
                sentence += f", still degraded: {result.verdict.detail}"
            return sentence
        case AlertStatus.DEGRADED:
            return f"Service is degraded: {result.verdict.detail}"
        case AlertStatus.HEALTHY:
            return "Service is healthy again"

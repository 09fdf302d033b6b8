"""judge(): one observation against a monitor's rules; the verdict says what, why, and keeps the values compared.

A failure is down with its own reason, or unknown where the trouble is ours. For an answer, everything that speaks
against it is gathered, and the worst speaks:

| answer | verdict |
|---|---|
| 2xx and a healthy word, or one we do not know | up, label = the word |
| 2xx or 503 and a degraded word | degraded `reported_degraded` |
| any code and an unhealthy word | down `reported_unhealthy` |
| 503 and a healthy word | degraded `http_status`: the two contradict each other |
| other codes, 503 without a document or with a word we do not know | down `http_status` |
| 2xx, a document required, none found | down `body_invalid`, with the cause |
| a body that does not fit its declared charset | down `body_invalid` |
| a name server's error, or no record of the type asked for | down `dns`, with the exact code |
| an `expect` that does not hold | down `assertion` |
| a `prefer` that does not hold | degraded `assertion` |
| a certificate within its warning days | degraded `cert_expiring` |
| a program that was asked says degraded | degraded `reported_degraded` |
| a program that was asked says down | down `reported_unhealthy` |
| a certificate with a weak key or signature | degraded `cert_weak` |

Codes are judged by this table where a document was read or no `expect` is written, and left to the expectations where
one of them names `status`. What a name server says is left to them where one names `dns.rcode` or `dns.answers`. Words
count in any case.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from laya_uptime.domain.assertion import Assertion
from laya_uptime.domain.certificates import weakness
from laya_uptime.domain.dns import cause
from laya_uptime.domain.health import HEALTH_TYPE, HealthDocument, NoDocument, read
from laya_uptime.domain.monitor import HealthMode, Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import (
    AssertionResult,
    Component,
    Evidence,
    Failure,
    Observation,
    Outcome,
    TlsFacts,
    Verdict,
)
from laya_uptime.domain.text import cut, one_line

_LONGEST_DETAIL = 600
_MOST_NAMED = 10  # failing components, and failed assertions, that one sentence names
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)

# The worst outcome wins; among equals the cause that is listed first.
_WORST_FIRST = (Outcome.DOWN, Outcome.DEGRADED)
_SPEAKS_FIRST = (
    Reason.DNS,
    Reason.REPORTED_UNHEALTHY,
    Reason.REPORTED_DEGRADED,
    Reason.HTTP_STATUS,
    Reason.BODY_INVALID,
    Reason.ASSERTION,
    Reason.CERT_EXPIRING,
    Reason.CERT_WEAK,
)


@dataclass(frozen=True, slots=True)
class _Cause:
    """One thing that speaks against an answer."""

    outcome: Outcome
    reason: Reason
    detail: str


_Causes = tuple[_Cause, ...]


def judge(observation: Observation, rules: Rules, *, at: datetime | None = None) -> Verdict:
    """Return what to make of the observation. Never raises.

    `at` is the instant for which the certificate's age is judged; None: when the probe began.
    """
    seen = observation.seen
    if isinstance(seen, Failure):
        return _failed(seen)
    evidence = seen.evidence
    document = _document(evidence, rules)
    expected = _tested(rules.expect, observation)
    preferred = _tested(rules.prefer, observation)
    causes = [
        *_about_the_name(evidence, rules),
        *_about_the_answer(evidence, document, rules, expected),
        *_about_the_report(evidence),
        *_about_assertions(Outcome.DOWN, expected),
        *_about_assertions(Outcome.DEGRADED, preferred),
        *_about_the_certificate(evidence, rules, at or observation.at),
    ]
    components = document.components if isinstance(document, HealthDocument) else ()
    if not causes:
        if not expected and not preferred and not isinstance(document, HealthDocument):
            return _UP
        label = document.label if isinstance(document, HealthDocument) else _UP.label
        return Verdict(outcome=Outcome.UP, label=label, components=components, assertions=(*expected, *preferred))
    main = min(causes, key=lambda cause: (_WORST_FIRST.index(cause.outcome), _SPEAKS_FIRST.index(cause.reason)))
    return Verdict(
        outcome=main.outcome,
        label="unhealthy" if main.reason is Reason.REPORTED_UNHEALTHY else str(main.outcome),
        reason=main.reason,
        detail=cut(main.detail, _LONGEST_DETAIL),
        components=components,
        assertions=(*expected, *preferred),
    )


_UP = Verdict(outcome=Outcome.UP, label=str(Outcome.UP))  # of an answer that nothing more was asked of
_UNDER_WAY = {
    "dns": "looking up the name",
    "connect": "connecting",
    "tls": "in the TLS handshake",
    "send": "sending the request",
    "wait": "waiting for the first byte",
    "read": "reading the answer",
}


def _tested(assertions: tuple[Assertion, ...], observation: Observation) -> tuple[AssertionResult, ...]:
    return tuple([assertion.test(observation) for assertion in assertions]) if assertions else ()


def _failed(failure: Failure) -> Verdict:
    outcome = Outcome.UNKNOWN if failure.reason.is_ours else Outcome.DOWN
    detail = one_line(failure.detail[:_LONGEST_DETAIL]) or str(failure.reason)
    if failure.phase is not None:
        detail = f"{detail}, {_UNDER_WAY.get(failure.phase, failure.phase)}"
    return Verdict(outcome=outcome, label=str(outcome), reason=failure.reason, detail=detail)


def _document(evidence: Evidence, rules: Rules) -> HealthDocument | NoDocument | None:
    """Return the health document, why there is none, or None where nobody looks for one."""
    if evidence.status is None and evidence.body is None:
        return None  # not HTTP: what `defaults` require of a body is not required of what has none
    match rules.health:
        case HealthMode.OFF:
            return None
        case HealthMode.REQUIRED:
            return read(evidence.body)
        case HealthMode.AUTO:
            is_declared = evidence.body is not None and evidence.body.content_type == HEALTH_TYPE
            return read(evidence.body) if is_declared or rules.health_in_path else None


# Most answers are good, so each of these first asks whether there is anything to speak of at all.


def _about_the_name(evidence: Evidence, rules: Rules) -> _Causes:
    """Judge what a name server said, unless somebody has written down what it shall say: that a name is gone, perhaps."""
    trouble = None if evidence.dns is None else cause(evidence.dns)
    if trouble is None or any(
        operand.startswith("dns.") for assertion in rules.expect for operand in assertion.operands
    ):
        return ()
    return (_Cause(Outcome.DOWN, Reason.DNS, one_line(trouble[:_LONGEST_DETAIL])),)


def _about_the_answer(
    evidence: Evidence,
    document: HealthDocument | NoDocument | None,
    rules: Rules,
    expected: tuple[AssertionResult, ...],
) -> _Causes:
    is_good = _is_good(evidence.status) and (evidence.body is None or not evidence.body.misdeclared)
    if is_good and (document is None or (isinstance(document, HealthDocument) and document.outcome is Outcome.UP)):
        return ()
    return tuple(_against_the_answer(evidence, document, rules, expected))


def _against_the_answer(
    evidence: Evidence,
    document: HealthDocument | NoDocument | None,
    rules: Rules,
    expected: tuple[AssertionResult, ...],
) -> Iterator[_Cause]:
    codes_are_expected = any("status" in assertion.operands for assertion in rules.expect)
    if isinstance(document, HealthDocument):
        yield from _about_the_word(document)
        if not codes_are_expected:
            yield from _about_the_code_beside(document, evidence.status)
    elif isinstance(document, NoDocument) and rules.health is HealthMode.REQUIRED:
        if codes_are_expected or _is_good(evidence.status):
            # A code that the expectations refuse explains by itself why there is no document.
            if _is_good(evidence.status) or all(result.holds for result in expected):
                yield _Cause(Outcome.DOWN, Reason.BODY_INVALID, document.why)
        else:
            yield _Cause(Outcome.DOWN, Reason.HTTP_STATUS, f"HTTP {evidence.status}")
    elif not rules.expect and not _is_good(evidence.status):
        yield _Cause(Outcome.DOWN, Reason.HTTP_STATUS, f"HTTP {evidence.status}")
    if evidence.body is not None and evidence.body.misdeclared:
        fault = one_line((evidence.body.fault or "")[:_LONGEST_DETAIL])
        yield _Cause(Outcome.DOWN, Reason.BODY_INVALID, fault or "the body does not fit its declared charset")


def _is_good(status: int | None) -> bool:
    """Say whether the code is a success. What has no code, because it is not HTTP, cannot have a bad one."""
    # 101 is good to a check that asked for another protocol; to one that did not, it is no answer at all.
    return status is None or status == 101 or 200 <= status <= 299


def _about_the_report(evidence: Evidence) -> _Causes:
    report = evidence.report
    if report is None or report.outcome not in _WORST_FIRST:
        return ()
    said = one_line(report.text[:_LONGEST_DETAIL])
    if report.outcome is Outcome.DOWN:
        return (_Cause(Outcome.DOWN, Reason.REPORTED_UNHEALTHY, said or "the program says that it is down"),)
    return (_Cause(Outcome.DEGRADED, Reason.REPORTED_DEGRADED, said or "the program says that it is degraded"),)


def _about_the_word(document: HealthDocument) -> Iterator[_Cause]:
    if document.outcome is Outcome.DOWN:
        yield _Cause(Outcome.DOWN, Reason.REPORTED_UNHEALTHY, _failing(document))
    elif document.outcome is Outcome.DEGRADED:
        yield _Cause(Outcome.DEGRADED, Reason.REPORTED_DEGRADED, _failing(document))


def _about_the_code_beside(document: HealthDocument, status: int | None) -> Iterator[_Cause]:
    """Judge the code of an answer that says of itself how it is."""
    if _is_good(status) or document.outcome is Outcome.DOWN or (status == 503 and document.outcome is Outcome.DEGRADED):
        return
    if status == 503 and document.is_known:
        detail = f"HTTP 503, but the body says {document.label}: the two contradict each other"
        yield _Cause(Outcome.DEGRADED, Reason.HTTP_STATUS, detail)
    elif status == 503:
        detail = f"HTTP 503, and the body says {document.label}, a word we do not know"
        yield _Cause(Outcome.DOWN, Reason.HTTP_STATUS, detail)
    else:
        yield _Cause(Outcome.DOWN, Reason.HTTP_STATUS, f"HTTP {status}, though the body says {document.label}")


def _failing(document: HealthDocument) -> str:
    """Return the failing components, worst first: "database down, Connection refused; disk_space warning"."""
    failing = [component for component in document.components if component.outcome in _WORST_FIRST]
    # A part that only passes on what its own parts say adds nothing.
    named = [
        component
        for component in failing
        if not any(other.name.startswith(f"{component.name}.") for other in failing) or component.message
    ]
    named.sort(key=lambda component: _WORST_FIRST.index(component.outcome))
    if not named:
        return f"the body says {document.label}"
    parts = [_said(component) for component in named[:_MOST_NAMED]]
    if len(named) > _MOST_NAMED:
        parts.append(f"and {len(named) - _MOST_NAMED} more")
    return "; ".join(parts)


def _said(component: Component) -> str:
    said = f"{component.name} {component.word}"
    return f"{said}, {component.message}" if component.message else said


def _about_assertions(outcome: Outcome, results: tuple[AssertionResult, ...]) -> _Causes:
    missed = [one_line(result.explain()) for result in results if not result.holds] if results else []
    if not missed:
        return ()
    more = [f"and {len(missed) - _MOST_NAMED} more"] if len(missed) > _MOST_NAMED else []
    return (_Cause(outcome, Reason.ASSERTION, "; ".join([*missed[:_MOST_NAMED], *more])),)


def _about_the_certificate(evidence: Evidence, rules: Rules, at: datetime) -> _Causes:
    if evidence.tls is None or not evidence.tls.chain:
        return ()
    return tuple(_against_the_certificate(evidence.tls, rules, at))


def _against_the_certificate(tls: TlsFacts, rules: Rules, at: datetime) -> Iterator[_Cause]:
    weak = weakness(tls.chain)
    if weak is not None:
        yield _Cause(Outcome.DEGRADED, Reason.CERT_WEAK, one_line(weak))
    if rules.cert_warning <= timedelta(0):
        return
    expires = tls.chain[0].not_after
    left = expires - at
    if left <= rules.cert_warning:
        when = f"expires in {_rounded(left)}" if left >= timedelta(0) else f"expired {_rounded(-left)} ago"
        yield _Cause(Outcome.DEGRADED, Reason.CERT_EXPIRING, f"certificate {when}, {expires:%Y-%m-%d}")


def _rounded(duration: timedelta) -> str:
    """Return whole days, or whole hours below two days, both rounded down."""
    count, unit = (duration // _DAY, "day") if duration >= 2 * _DAY else (duration // _HOUR, "hour")
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"

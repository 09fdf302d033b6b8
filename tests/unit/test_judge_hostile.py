"""Whatever a target answers, and whatever is expected of it, there is a verdict that makes sense."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from laya_uptime.domain.assertion import parse
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import HealthMode, Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import (
    Answer,
    Body,
    Certificate,
    Evidence,
    Failure,
    Hop,
    Observation,
    Outcome,
    Phases,
    TlsFacts,
)

ANY_TEXT = st.text(st.characters(codec=None), max_size=40)
INSTANTS = st.datetimes(timezones=st.just(UTC))
DURATIONS = st.timedeltas(timedelta(0), timedelta(days=400))
WORDS = st.sampled_from(["healthy", "OK", "degraded", "warn", "down", "CRITICAL", "not ready", "starting", "", " "])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["status", "checks", "components", "x", "message"]) | ANY_TEXT, inner, max_size=4
        )
        | st.builds(lambda word, parts: {"status": word, "checks": parts}, WORDS, inner)
    ),
    max_leaves=20,
)
BODIES = st.builds(
    Body,
    content_type=st.sampled_from(["", "text/plain", "text/html", "application/json", "application/health+json"]),
    text=ANY_TEXT | WORDS,
    size=st.integers(0, 1 << 20),
    document=DOCUMENTS,
    is_document=st.booleans(),
    fault=st.none() | ANY_TEXT,
    misdeclared=st.booleans(),
)
CERTIFICATES = st.builds(
    Certificate,
    subject=ANY_TEXT,
    issuer=ANY_TEXT,
    names=st.just(()),
    not_before=INSTANTS,
    not_after=INSTANTS,
    fingerprint=st.just("00"),
)
PHASES = st.builds(Phases, dns=st.none() | DURATIONS, wait=st.none() | DURATIONS)
EVIDENCE = st.builds(
    Evidence,
    address=st.none() | ANY_TEXT,
    phases=PHASES,
    status=st.none() | st.integers(0, 999) | st.sampled_from([200, 204, 500, 503]),
    headers=st.lists(st.tuples(ANY_TEXT | st.just("server"), ANY_TEXT), max_size=3).map(tuple),
    body=st.none() | BODIES,
    tls=st.none()
    | st.builds(TlsFacts, version=st.none() | ANY_TEXT, chain=st.lists(CERTIFICATES, max_size=2).map(tuple)),
    redirects=st.lists(
        st.builds(Hop, url=ANY_TEXT, status=st.integers(300, 399), location=ANY_TEXT, phases=PHASES), max_size=2
    ).map(tuple),
)
SEEN = st.builds(Answer, EVIDENCE) | st.builds(
    Failure,
    st.sampled_from(Reason),
    ANY_TEXT,
    EVIDENCE,
    st.none() | st.sampled_from(["dns", "connect", "tls", "send", "wait", "read"]),
)
OBSERVATIONS = st.builds(
    Observation, monitor_id=st.just("m"), region=st.just("r"), due=INSTANTS, at=INSTANTS, elapsed=DURATIONS, seen=SEEN
)
ASSERTIONS = st.lists(
    st.sampled_from(
        [
            parse(text)
            for text in (
                "status in 200..299",
                "latency < 500ms and phase.wait < 1s",
                'body.x == 1 or body.checks[0]["status"] matches "^(a+)+$"',
                'jsonpath("$..x") contains 1',
                "jsonpath('$..[?search(@.status, \"o\")].x') != null",
                'not (text matches "(?i)fatal") and size < 1MB',
                'header["Server"] == "x" or ip == "y"',
                'tls.expires_in > 14d and tls.version == "a" or tls.issuer contains "b"',
                'health.status == "ok" and health.components["x"] != "down"',
                'dns.rcode == "NOERROR" or dns.answers contains "x" or redirects < 2',
            )
        ]
    ),
    max_size=3,
).map(tuple)
RULES = st.builds(
    Rules,
    expect=ASSERTIONS,
    prefer=ASSERTIONS,
    health=st.sampled_from(HealthMode),
    health_in_path=st.booleans(),
    cert_warning=DURATIONS,
)


@settings(deadline=None)
@given(OBSERVATIONS, RULES, st.none() | INSTANTS)
def test_judging_anything_by_any_rules_gives_a_verdict_that_makes_sense(
    observation: Observation, rules: Rules, at: datetime | None
) -> None:
    verdict = judge(observation, rules, at=at)

    assert (verdict.reason is None) == (verdict.outcome is Outcome.UP)
    assert bool(verdict.detail) == (verdict.outcome is not Outcome.UP)
    assert (verdict.outcome is Outcome.UNKNOWN) == (verdict.reason is not None and verdict.reason.is_ours)
    for text in (verdict.label, verdict.detail):
        assert "\n" not in text
        assert "\x1b" not in text
    assert 1 <= len(verdict.label) <= 40
    assert len(verdict.detail) <= 640
    assert len(verdict.components) <= 100
    if isinstance(observation.seen, Answer):
        assert len(verdict.assertions) == len(rules.expect) + len(rules.prefer)


@settings(deadline=None)
@given(OBSERVATIONS, RULES)
def test_the_same_observation_gets_the_same_verdict(observation: Observation, rules: Rules) -> None:
    assert judge(observation, rules) == judge(observation, rules)


@settings(deadline=None)
@given(OBSERVATIONS, RULES)
def test_an_expectation_that_fails_is_never_up_or_merely_degraded(observation: Observation, rules: Rules) -> None:
    verdict = judge(observation, rules)
    expected = verdict.assertions[: len(rules.expect)]

    assert all(result.holds for result in expected) or verdict.outcome is Outcome.DOWN

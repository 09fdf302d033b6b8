"""Any text as an assertion: refused with a place in the text, or an assertion that can be held against anything."""

from datetime import UTC, datetime, timedelta

from laya_uptime.domain.assertion import Assertion, ExpressionError, parse
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, DnsFacts, Evidence, Outcome, Phases, PingFacts, ProgramReport
from laya_uptime.testing.observations import a_certificate, a_failure, an_answer, an_observation

LONGEST = 200

_MS = timedelta(milliseconds=1)
_OBSERVATIONS = (
    an_answer(
        200,
        json={
            "status": "Healthy",
            "db": {"replicas": 3, "lag": 0.25, "primary": None, "ready": True},
            "items": [{"id": "a", "state": "ok", "n": 1}, {"id": "b", "state": "down", "n": -2}, [1, [2, [3]]], 10**40],
            "a b": "\u2028\x1b[31m",
            "checks": {"database": {"status": "UP", "message": "fine"}, "disk": "warn"},
        },
        headers=(("content-type", "application/json"), ("via", "a"), ("via", "b"), ("server", "\x7f\xff")),
        certificate=a_certificate(datetime(2027, 1, 1, tzinfo=UTC)),
        phases=Phases(dns=_MS, connect=2 * _MS, tls=3 * _MS, send=_MS, wait=40 * _MS, read=_MS),
    ),
    an_answer(503, json=["a", 1, None, {"x": {"y": [{}]}}, "é" * 200]),
    an_answer(200, text="<html>\nFatal error: x\x00" + "a" * 300, content_type="text/html"),
    an_observation(
        Answer(
            Evidence(
                address="2001:db8::1",
                dns=DnsFacts(name="a.example", record="TXT", server="192.0.2.53", rcode="NOERROR", answers=("v=1", "")),
                ping=PingFacts(sent=3, rtts=(_MS, 2 * _MS)),
                report=ProgramReport(outcome=Outcome.DEGRADED, text="WARN", figures=(("load1", 0.5), ("", -1e300))),
                said="220 mail.example ESMTP\r\n",
            )
        )
    ),
    an_answer(None, text="", address=None),
    a_failure(Reason.TIMEOUT, "no answer within 10 s", phase="wait"),
)


def run(data: bytes) -> None:
    """Parse the text and, where it is an assertion, hold it against every observation."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        assertion = parse(text)
    except ExpressionError as error:
        _check_error(error, text)
        return
    assert assertion.text == text or not text.isprintable()
    _check(assertion)


def _check_error(error: ExpressionError, text: str) -> None:
    assert 1 <= error.column <= len(text) + 1, error.column
    assert error.what
    assert str(error).isprintable(), repr(str(error))
    assert len(str(error)) <= 2000, len(str(error))


def _check(assertion: Assertion) -> None:
    assert assertion.operands
    for observation in _OBSERVATIONS:
        result = assertion.test(observation)
        assert type(result.holds) is bool
        assert len(result.actual) >= len(assertion.operands)
        assert all(value.isprintable() and 0 < len(value) <= 120 for _, value in result.actual), result.actual
        assert result.explain().isprintable(), repr(result.explain())
        assert assertion.test(observation) == result

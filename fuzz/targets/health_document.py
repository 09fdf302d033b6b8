"""Any body as a health document, and the verdict on it: bounded, printable, and never an exception.

An input is two bytes and a body. The first byte chooses the content type, the second the status code and the rules.
"""

import unicodedata
from datetime import timedelta

from laya_uptime.adapters.net.document import read_body
from laya_uptime.domain import health
from laya_uptime.domain.assertion import parse
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import HealthMode, Rules
from laya_uptime.domain.result import Answer, Body, Component, Evidence, Observation, Outcome, Verdict
from laya_uptime.testing.clock import NOON

LONGEST = 768

_CONTENT_TYPES = (
    "application/json",
    "application/health+json",
    "text/plain",
    "",
    "text/html; charset=utf-8",
    "application/json; charset=utf-16",
    "application/json; charset=latin-1",
    "text/plain; charset=shift_jis",
    "text/plain; charset=iso-2022-jp",
    "application/problem+json;charset=gb18030",
    "application/json; charset=utf-32-be",
    "text/plain; charset=nonsense",
    "application/json; charset=utf-8-sig",
    'text/json; charset="us-ascii"',
    "image/png",
    "text/plain; charset=big5-hkscs",
)
_CODES = (200, 503, 500, 204, 404, 101, 302, 999)
_EXPECTED = (
    parse('body.status == "ok" or health.status in ["healthy", "alive"]'),
    parse('not (health.components["database"] == "down")'),
    parse("body.checks[0].status != null"),
    parse('text contains "a"'),
    parse("size < 300"),
)
_RULES = (
    Rules(health=HealthMode.REQUIRED),
    Rules(health=HealthMode.AUTO, health_in_path=True),
    Rules(health=HealthMode.REQUIRED, expect=_EXPECTED),
    Rules(health=HealthMode.AUTO, prefer=_EXPECTED),
)
_MS = timedelta(milliseconds=1)
_BREAKS = {"Cc", "Zl", "Zp", "Cs"}


def run(data: bytes) -> None:
    """Read the body, and judge an answer that has it."""
    if len(data) < 2:
        return
    body = read_body(data[2:], _CONTENT_TYPES[data[0] % len(_CONTENT_TYPES)])
    _check_body(body, size=len(data) - 2)
    _check_document(health.read(body))
    evidence = Evidence(status=_CODES[data[1] & 7], body=body)
    observation = Observation(monitor_id="shop", region="local", due=NOON, at=NOON, elapsed=_MS, seen=Answer(evidence))
    _check_verdict(judge(observation, _RULES[data[1] >> 3 & 3]))


def _check_body(body: Body, *, size: int) -> None:
    assert body.size == size
    assert len(body.text) <= size
    assert body.document is None or body.is_document
    assert body.fault is None or not body.is_document
    assert body.fault is None or len(body.fault) <= 300
    if body.is_document and not isinstance(body.document, str | int | float | bool | None):
        _check_value(body.document, 100)


def _check_value(value: object, levels: int) -> None:
    """Hold a value to what can be written down again: no infinity, no half characters, not too deep for other readers."""
    match value:
        case dict() | list():
            assert levels > 0
            for inner in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
                _check_value(inner, levels - 1)
        case str():
            value.encode("utf-8")
        case float():
            assert value - value == 0
        case int():
            assert -(2**63) <= value < 2**64
        case _:
            assert value is None


def _check_document(document: health.HealthDocument | health.NoDocument) -> None:
    if isinstance(document, health.NoDocument):
        assert document.why
        assert _is_one_line(document.why), repr(document.why)
        assert len(document.why) <= 250, document.why
        return
    _check_word(document.word)
    _check_word(document.label)
    assert document.outcome is not Outcome.UNKNOWN
    assert len(document.components) <= 100
    for component in document.components:
        _check_component(component)


def _check_word(word: str) -> None:
    assert word.isprintable(), repr(word)
    assert 0 < len(word) <= 40, word


def _check_component(component: Component) -> None:
    assert component.name.isprintable(), repr(component.name)
    assert len(component.name) <= 80
    _check_word(component.word)
    assert _is_one_line(component.message), repr(component.message)
    assert len(component.message) <= 200


def _check_verdict(verdict: Verdict) -> None:
    assert verdict.outcome is not Outcome.UNKNOWN
    assert (verdict.reason is None) == (verdict.outcome is Outcome.UP), verdict
    assert bool(verdict.detail) == (verdict.outcome is not Outcome.UP), verdict
    assert _is_one_line(verdict.detail), repr(verdict.detail)
    assert len(verdict.detail) <= 600
    _check_word(verdict.label)
    for assertion in verdict.assertions:
        assert all(value.isprintable() for _, value in assertion.actual), assertion


def _is_one_line(text: str) -> bool:
    return text.isprintable() or not any(unicodedata.category(char) in _BREAKS for char in text)

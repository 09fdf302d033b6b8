"""Status and documents: from the code and the body to the verdict, over a real connection."""

import json
from collections.abc import Awaitable, Callable, Mapping

import pytest

from laya_uptime.domain.result import Result
from laya_uptime.testing.target import ScriptedTarget, says

Look = Callable[..., Awaitable[Result]]
Told = Callable[[Result, str], str]

HEALTHY = {"status": "healthy"}


def row(
    name: str, status: int, body: object, expected: str, *, kind: str = "application/json", **settings: object
) -> object:
    """`body` is a document, or text or bytes as they stand."""
    data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return pytest.param(status, kind, data, settings, expected, id=name)


REQUIRED = [
    *(
        row(f"200 and {word}", 200, {"status": word}, f"up: {word}")
        for word in ("healthy", "ok", "up", "pass", "alive", "ready", "purring")
    ),
    row("200 and capitals", 200, {"status": "UP"}, "up: up"),
    row("203 is a success too", 203, HEALTHY, "up: healthy"),
    *(
        row(f"{code} and {word}", code, {"status": word}, "degraded reported_degraded")
        for code in (200, 503)
        for word in ("degraded", "warn", "warning", "partial")
    ),
    *(
        row(f"200 and {word}", 200, {"status": word}, "down reported_unhealthy")
        for word in ("unhealthy", "down", "fail", "error", "critical", "not_ready", "out_of_service")
    ),
    *(
        row(f"{code} and unhealthy", code, {"status": "unhealthy"}, "down reported_unhealthy")
        for code in (404, 500, 503)
    ),
    row("503 and healthy", 503, HEALTHY, "degraded http_status: contradict each other"),
    row("503 and a word we do not know", 503, {"status": "purring"}, "down http_status: a word we do not know"),
    row("500 and healthy", 500, HEALTHY, "down http_status: HTTP 500"),
    row("500 and degraded", 500, {"status": "degraded"}, "down http_status: HTTP 500"),
    row("404 and healthy", 404, HEALTHY, "down http_status: HTTP 404"),
    row("503 without a document", 503, "sorry", "down http_status: HTTP 503", kind="text/plain"),
    row("500 without a document", 500, "<html>", "down http_status: HTTP 500", kind="text/html"),
    row("999", 999, "", "down http_status: HTTP 999"),
    row("304", 304, "", "down http_status: HTTP 304"),
    row("HTML", 200, "<!doctype html><p>Hi", "down body_invalid: HTML", kind="text/html"),
    row("empty", 200, "", "down body_invalid"),
    row("spaces", 200, "  \r\n", "down body_invalid"),
    row("broken JSON", 200, '{"status"', "down body_invalid: JSON"),
    row("a JSON list", 200, [1, 2], "down body_invalid"),
    row("a JSON number", 200, 7, "down body_invalid"),
    row("a status that is a number", 200, {"status": 7}, "down body_invalid"),
    row("a status that is null", 200, {"status": None}, "down body_invalid"),
    row("a status that is a list", 200, {"status": ["healthy"]}, "down body_invalid"),
    row("no status", 200, {"state": "healthy"}, "down body_invalid"),
    row("two statuses", 200, '{"status": "fail", "status": "ok"}', "down body_invalid: twice"),
    row("trailing bytes", 200, '{"status": "ok"} oops', "down body_invalid: JSON"),
    row("nested without end", 200, "[" * 100_000, "down body_invalid: levels deep"),
    row(
        "nested in the document", 200, '{"status": "ok", "x": ' + "[" * 500 + "]" * 500 + "}", "down body_invalid: deep"
    ),
    row("NaN", 200, '{"status": "ok", "x": NaN}', "down body_invalid: not a number"),
    row("1e999", 200, '{"status": "ok", "x": 1e999}', "down body_invalid: too large"),
    row("five thousand digits", 200, '{"status": "ok", "x": ' + "9" * 5000 + "}", "down body_invalid: too large"),
    row("a byte order mark", 200, b'\xef\xbb\xbf{"status": "ok"}', "down body_invalid: byte order mark"),
    row("half a character", 200, '{"status": "ok", "x": "\\ud800"}', "down body_invalid: surrogate"),
    row("not UTF-8", 200, b'{"status": "ok", "x": "\xff"}', "down body_invalid: not UTF-8"),
    row(
        "the wrong charset",
        200,
        b'{"status": "h\xe9althy"}',
        "down body_invalid: declares utf-8",
        kind="application/json; charset=utf-8",
    ),
    row(
        "a charset that nobody knows",
        200,
        HEALTHY,
        "down body_invalid: not one we know",
        kind="application/json; charset=klingon",
    ),
    row("a plain word", 200, "OK", "up: ok", kind="text/plain"),
    row(
        "LAYA: a failing part is named",
        200,
        {"status": "degraded", "checks": {"disk_space": {"status": "warning", "message": "Disk space running low"}}},
        "degraded reported_degraded: disk_space warning, Disk space running low",
    ),
    row(
        "Spring Boot",
        503,
        {"status": "OUT_OF_SERVICE", "components": {"db": {"status": "DOWN"}}},
        "down reported_unhealthy: db",
    ),
    row("IETF", 200, {"status": "warn"}, "degraded reported_degraded", kind="application/health+json"),
    row(
        "ASP.NET",
        503,
        {"status": "Unhealthy", "results": {"queue": {"status": "Unhealthy"}}},
        "down reported_unhealthy: queue",
    ),
]

AS_WRITTEN = [
    row("auto: any page with 200", 200, "<p>Hi", "up: up", kind="text/html"),
    row("auto: a status that nobody asked about", 200, {"status": "unhealthy"}, "up: up"),
    row(
        "auto: a type that says what it is",
        200,
        {"status": "fail"},
        "down reported_unhealthy",
        kind="application/health+json",
    ),
    row("auto: 500", 500, "no", "down http_status: HTTP 500", kind="text/plain"),
    row(
        "auto: a wrong charset", 200, b"caf\xe9", "down body_invalid: declares utf-8", kind="text/plain; charset=utf-8"
    ),
    row("off: an unhealthy word", 200, {"status": "unhealthy"}, "up", kind="application/health+json", health="off"),
    row("expect: what holds", 200, {"a": 1}, "up", expect=["body.a == 1"]),
    row("expect: what does not hold", 200, {"a": 2}, "down assertion: actual body.a = 2", expect=["body.a == 1"]),
    row("expect: what is not there", 200, {}, "down assertion: absent", expect=["body.a == 1"]),
    row("expect: another code", 404, "gone", "up", kind="text/plain", expect=["status == 404"]),
    row(
        "expect: a code that does not come",
        200,
        "hi",
        "down assertion: 200",
        kind="text/plain",
        expect=["status == 404"],
    ),
    row("expect: a text", 200, "Add to basket", "up", kind="text/plain", expect=['text contains "basket"']),
    row(
        "expect: a text that is missing",
        200,
        "x",
        "down assertion",
        kind="text/plain",
        expect=['text contains "basket"'],
    ),
    row("prefer: what does not hold", 200, {"a": 2}, "degraded assertion: actual body.a = 2", prefer=["body.a == 1"]),
    row("prefer: beside a failure", 500, {"a": 2}, "down http_status: HTTP 500", prefer=["body.a == 1"]),
]


async def answer(look: Look, status: int, kind: str, body: bytes, path: str, settings: Mapping[str, object]) -> Result:
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    async with ScriptedTarget(says(head.encode() + (b"" if status == 304 else body))) as target:
        return await look(url=target.url(path), **settings)


@pytest.mark.parametrize(("status", "kind", "body", "settings", "expected"), REQUIRED)
async def test_where_a_health_document_is_required_code_and_word_decide(
    status: int, kind: str, body: bytes, settings: dict[str, object], expected: str, look: Look, told: Told
) -> None:
    result = await answer(look, status, kind, body, "/", {"health": "required", **settings})

    assert told(result, expected) == expected


@pytest.mark.parametrize(("status", "kind", "body", "settings", "expected"), AS_WRITTEN)
async def test_elsewhere_the_code_decides_and_what_the_file_expects(
    status: int, kind: str, body: bytes, settings: dict[str, object], expected: str, look: Look, told: Told
) -> None:
    result = await answer(look, status, kind, body, "/", settings)

    assert told(result, expected) == expected


PATHS = [
    pytest.param(path, expected, id=f"auto: the path {path}")
    for path, expected in (
        *(
            (f"/api/{name}", "down reported_unhealthy")
            for name in ("health", "healthz", "liveness", "readiness", "status")
        ),
        ("/actuator/x", "down reported_unhealthy"),
        ("/healthy-food", "up"),
    )
]


@pytest.mark.parametrize(("path", "expected"), PATHS)
async def test_a_path_that_names_health_has_its_document_read(path: str, expected: str, look: Look, told: Told) -> None:
    result = await answer(look, 200, "application/json", b'{"status": "down"}', path, {})

    assert told(result, expected) == expected

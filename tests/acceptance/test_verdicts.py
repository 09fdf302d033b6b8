"""From an HTTP answer to a verdict, row by row of the table: the word in the report, the log line and the exit code."""

import re
from pathlib import Path

import pytest

from laya_uptime.testing.program import Ended, Installation
from laya_uptime.testing.services import REFUSES, Script, Services, answers, bomb, is_endless, raw, resets, says

RECORDED = Path(__file__).parents[1] / "data" / "health"


def recorded(name: str) -> Script:
    """Answer with the bytes that a real LAYA service sent."""
    return raw((RECORDED / name).read_bytes())


def status_of(service: str, ended: Ended) -> str:
    """Return the status word of a service in the last report."""
    found = re.findall(rf"^. {service} +\| Status: (\w+) +\|", ended.out, re.MULTILINE)
    return str(found[-1])


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("healthy", "ok", "up"), "healthy", 0),
        (("pass", "alive", "ready"), "healthy", 0),
        (("degraded", "warn", "warning"), "degraded", 0),
        (("unhealthy", "down", "fail"), "unhealthy", 1),
        (("error", "critical", "not_ready"), "unhealthy", 1),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, tuple) else "",
)
def test_the_words_of_the_table(
    laya: Installation, services: Services, words: tuple[str, ...], status: str, code: int
) -> None:
    for service, word in zip(services.looks, words, strict=True):
        services.put(service, says(word))

    ended = laya.run("watch", "--dry-run")

    assert ended.code == code
    assert re.findall(r"Status: (\w+) +\|", ended.out) == [status] * 3


@pytest.mark.parametrize(
    ("script", "label"),
    [
        pytest.param(says("UP"), "up", id="Spring Boot"),
        pytest.param(says("Healthy", results={}), "healthy", id="ASP.NET"),
        pytest.param(says("purring"), "purring", id="a word we do not know"),
        pytest.param(says("healthy", status=203), "healthy", id="203"),
        pytest.param(answers(200, "OK", kind="text/plain"), "ok", id="a plain text"),
        pytest.param(recorded("ai-liveness-200.http"), "alive", id="recorded: the AI Service is alive"),
        pytest.param(recorded("gibbon-200-healthy.http"), "healthy", id="recorded: Gibbon is healthy"),
    ],
)
def test_a_good_answer_is_up_by_its_own_word(
    laya: Installation, services: Services, script: Script, label: str
) -> None:
    services.put("gibbon-cms", script)

    ended = laya.run("watch", "--dry-run")

    assert ended.code == 0
    assert status_of("Gibbon CMS", ended) == "healthy"
    assert re.search(rf"INFO - ✓ Gibbon CMS: {label} \(20\d\) - \d+ms", ended.out)


@pytest.mark.parametrize(
    ("script", "code", "cause"),
    [
        pytest.param(says("partial", status=503), 503, "the body says partial", id="503 and a degraded word"),
        pytest.param(
            says("healthy", status=503),
            503,
            "HTTP 503, but the body says healthy: the two contradict each other",
            id="503 and a healthy word",
        ),
        pytest.param(
            recorded("gibbon-200-degraded.http"), 200, "disk_space warning|upload|warning", id="recorded: Gibbon"
        ),
        pytest.param(
            answers(
                200,
                {
                    "status": "degraded",
                    "service": "parent-portal",
                    "checks": {"aiService": {"status": "unhealthy", "connected": False, "error": "fetch failed"}},
                },
            ),
            200,
            "aiService unhealthy, fetch failed",
            id="the Parent Portal without its AI Service",
        ),
    ],
)
def test_a_degraded_answer_is_degraded_and_exits_0(
    laya: Installation, services: Services, script: Script, code: int, cause: str
) -> None:
    services.put("gibbon-cms", script)

    ended = laya.run("watch", "--dry-run")

    assert ended.code == 0
    assert status_of("Gibbon CMS", ended) == "degraded"
    assert re.search(rf"WARNING - ⚠ Gibbon CMS: degraded \({code}\) - \d+ms", ended.out)
    assert re.search(rf"WARNING -    Gibbon CMS: .*({cause})", ended.out)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        pytest.param(says("out_of_service"), 200, id="200"),
        pytest.param(says("OUT_OF_SERVICE", status=503), 503, id="Spring Boot"),
        pytest.param(says("unhealthy", status=500), 500, id="any code: 500"),
        pytest.param(says("fail", status=404), 404, id="any code: 404"),
        pytest.param(recorded("gibbon-503-unhealthy.http"), 503, id="recorded: Gibbon without its database"),
    ],
)
def test_an_unhealthy_word_is_down_whatever_the_code(
    laya: Installation, services: Services, script: Script, code: int
) -> None:
    services.put("gibbon-cms", script)

    ended = laya.run("watch", "--dry-run")

    assert ended.code == 1
    assert status_of("Gibbon CMS", ended) == "unhealthy"
    assert re.search(rf"WARNING - ⚠ Gibbon CMS: unhealthy \({code}\) - \d+ms", ended.out)


@pytest.mark.parametrize(
    ("script", "line"),
    [
        *(
            pytest.param(answers(code, "sorry", kind="text/plain"), rf"HTTP {code} - \d+ms", id=f"{code}, no document")
            for code in (304, 404, 503)
        ),
        pytest.param(says("healthy", status=500), r"HTTP 500 - \d+ms", id="500 and a healthy word"),
        pytest.param(says("degraded", status=500), r"HTTP 500 - \d+ms", id="500 and a degraded word"),
        pytest.param(says("purring", status=503), r"HTTP 503 - \d+ms", id="503 and a word we do not know"),
        pytest.param(answers(200, "<!doctype html><p>Hi"), r"Invalid response - .*", id="HTML"),
        pytest.param(answers(200, ""), r"Invalid response - .*", id="empty"),
        pytest.param(answers(200, "{"), r"Invalid response - .*JSON.*", id="broken JSON"),
        pytest.param(answers(200, "[1, 2]"), r"Invalid response - .*", id="a JSON list"),
        pytest.param(answers(200, '"ok'), r"Invalid response - .*", id="half a JSON text"),
        pytest.param(says(7), r"Invalid response - .*", id="a status that is a number"),
        pytest.param(says(None), r"Invalid response - .*", id="a status that is null"),
        pytest.param(answers(200, {"state": "healthy"}), r"Invalid response - .*", id="no status"),
        pytest.param(
            answers(200, '{"status":"fail","status":"ok"}'), r"Invalid response - .*twice.*", id="two statuses"
        ),
        pytest.param(answers(200, "[" * 5000), r"Invalid response - .*nested.*", id="nested without end"),
        pytest.param(
            answers(200, '{"status": "h\xe9althy"}'.encode("latin-1"), kind="application/json; charset=utf-8"),
            r"Invalid response - .*charset|Invalid response - .*utf-8.*",
            id="wrong charset",
        ),
        pytest.param(
            raw(b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"status":"healthy"}'),
            r"Invalid response - the answer ended after 20 of 40 bytes of body .*",
            id="cut body",
        ),
        pytest.param(
            raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{"status":"healthy"}\r\n0\r\n\r\n'),
            r"(Invalid response|Connection failed) - .*",
            id="bad framing",
        ),
        pytest.param(
            raw(b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\nContent-Length: 21\r\n\r\n{"status":"healthy"} '),
            r"(Invalid response|Connection failed) - .*",
            id="two lengths",
        ),
        pytest.param(is_endless, r"Invalid response - .*too large.*", id="endless"),
        pytest.param(bomb(), r"Invalid response - .*too large.*", id="bomb"),
        pytest.param(resets, r"Connection failed - Connection reset by peer", id="reset"),
        pytest.param(raw(b""), r"Connection failed - .*", id="hung up on"),
        pytest.param(REFUSES, r"Connection failed - Connection refused", id="refused"),
    ],
)
def test_everything_else_is_down_with_its_exact_cause(
    laya: Installation, services: Services, script: Script, line: str
) -> None:
    services.put("gibbon-cms", script)

    ended = laya.run("watch", "--dry-run")

    assert ended.code == 1
    assert status_of("Gibbon CMS", ended) == "down"
    assert re.search(rf"ERROR - ✗ Gibbon CMS: {line}", ended.out)
    assert status_of("AI Service", ended) == status_of("Parent Portal", ended) == "healthy"


def test_a_redirect_is_followed_to_its_answer(laya: Installation, services: Services) -> None:
    elsewhere = services.url("ai-service", "/moved/here")
    services.put("gibbon-cms", answers(308, head=f"Location: {elsewhere}\r\n"))

    ended = laya.run("watch", "--dry-run")

    assert ended.code == 0
    assert "✓ Gibbon CMS: healthy (200)" in ended.out
    assert any(request.startswith(b"GET /moved/here ") for request in services.requests["ai-service"])


def test_each_service_is_asked_for_its_own_path_under_its_base(laya: Installation, services: Services) -> None:
    base = services.url("gibbon-cms") + "/school/"

    laya.run("watch", "--dry-run", GIBBON_URL=base)

    paths = {service: requests[0].split(b" ")[1] for service, requests in services.requests.items()}
    assert paths == {
        "ai-service": b"/api/v1/health/liveness",
        "gibbon-cms": b"/school/modules/System/health.php",
        "parent-portal": b"/api/health",
    }

"""No secret leaves the configuration: not to the console, the log, the database or a message, also when all fails.

What stands on a command line is in the process list for everybody on the machine; that is why each secret can come
from a variable or a file instead. `--webhook URL` with a token in it is the caller's own choice.
"""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from laya_uptime.testing.ledger import Answer, Entry, LedgerSink
from laya_uptime.testing.program import Installation, Program
from laya_uptime.testing.services import HEALTHY, REFUSES, Script, Services, answers, raw, resets, says

CANARY = "canary"  # stands in every secret below and nowhere else
WRITTEN = re.compile(rb"(?i:canary)|Y2FuYXJ5|OmNhbmFyeS|pjYW5hcnkt")  # as it is, and as Basic authentication writes it


def everything_written(laya: Installation, program: Program, entries: list[Entry]) -> Iterator[tuple[str, bytes]]:
    """Yield each place that something was written to, and what."""
    yield "standard output", program.out.encode()
    yield "standard error", program.err.encode()
    for path in laya.directory.rglob("*"):
        if path.is_file() and "ledger" not in path.parts and path.suffix not in {".yaml", ".secret"}:
            yield str(path.relative_to(laya.directory)), path.read_bytes()
    for entry in entries:
        yield f"{entry.channel} {entry.transition}", entry.raw
        yield f"{entry.channel} {entry.subject}", str(entry.subject).encode()
    yield "the process list", Path(f"/proc/{program.pid}/cmdline").read_bytes()


def nothing_leaks(laya: Installation, program: Program, entries: list[Entry]) -> None:
    places = dict(everything_written(laya, program, entries))
    assert len(places) >= 6, places.keys()
    assert [place for place, written in places.items() if WRITTEN.search(written)] == []


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        pytest.param(Answer(), "📡 Webhook alert sent", id="taken"),
        pytest.param(Answer(status=503), "📡 Webhook alert failed", id="refused for now"),
        pytest.param(Answer(status=403), "📡 Webhook alert failed", id="refused"),
        pytest.param(Answer(reset=True, status=500), "📡 Webhook alert failed", id="reset"),
    ],
)
def test_the_drop_in_keeps_every_secret(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str], answer: Answer, line: str
) -> None:
    sink.answer_always("http", answer)
    services.put("gibbon-cms", REFUSES)
    services.put("parent-portal", says("degraded"))

    watching = laya.start(
        "watch",
        "--interval",
        "1",
        **alerts
        | {
            "ALERT_WEBHOOK": sink.url("/webhook/canary-token?key=canary-key").replace("//", "//hook:canary-basic@"),
            "SMTP_USER": "uptime",
            "SMTP_PASSWORD": "canary-password",  # the sink offers no STARTTLS, so it must not be said at all
            "AI_SERVICE_URL": services.url("ai-service").replace("//", "//u:canary-up@"),
            "GIBBON_URL": services.url("gibbon-cms").replace("//", "//u:canary-down@"),
            "PARENT_PORTAL_URL": services.url("parent-portal").replace("//", "//u:canary-degraded@"),
        },
    )
    watching.wait_for(line, times=2)
    watching.wait_for("📧 Email alert failed")
    services.put_all(HEALTHY)
    watching.wait_for("Gibbon CMS: RECOVERED")

    nothing_leaks(laya, watching, sink.entries())
    assert watching.end(signal.SIGINT) == 0
    assert any(b"authorization: basic" in request.lower() for request in services.requests["ai-service"])


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(answers(302, head="Location: http://u:canary@127.0.0.1:1/?token=canary\r\n"), id="redirect"),
        pytest.param(answers(500, "the password is canary", kind="text/plain"), id="body"),
        pytest.param(answers(200, {"password": "canary"}, head="Set-Cookie: session=canary\r\n"), id="cookie"),
        pytest.param(raw(b"HTTP/1.1 200 canary\r\nX-Secret: canary\r\n\r\ncanary"), id="cut"),
        pytest.param(raw(b"canary canary canary\r\n\r\n"), id="garbage"),
        pytest.param(resets, id="reset"),
    ],
)
def test_what_a_target_says_is_not_passed_on(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str], script: Script
) -> None:
    services.put("gibbon-cms", script)

    watching = laya.start("watch", "--interval", "1", **alerts)
    watching.wait_for("📡 Webhook alert sent")
    watching.wait_for("📧 Email alert sent")

    nothing_leaks(laya, watching, sink.entries())


def test_a_file_face_keeps_every_secret(laya: Installation, services: Services, sink: LedgerSink) -> None:
    services.put("gibbon-cms", REFUSES)
    (laya.directory / "signs.secret").write_text("canary-signs\n", encoding="ascii")
    (laya.directory / "laya-uptime.yaml").write_text(
        f"""
defaults: {{ every: 1s, confirm: 1 }}
monitors:
  up:
    url: {services.url("ai-service", "/health?token=canary-query").replace("//", "//u:canary-user@")}
    headers: {{ Authorization: "${{BEARER}}", X-Api-Key: canary-header }}
    body: canary-body
    method: POST
  down: {services.url("gibbon-cms", "/?token=canary-query").replace("//", "//u:canary-user@")}
notify:
  hook:
    type: webhook
    url: {sink.url("/webhook/canary-path?key=canary-key")}
    secret: ${{file:{laya.directory / "signs.secret"}}}
    headers: {{ X-Token: "${{BEARER}}" }}
  mail: {{ type: email, to: a@example.org, server: 127.0.0.1, port: {sink.smtp_port}, user: u, password: "${{PASS}}" }}
""",
        encoding="utf-8",
    )

    serving = laya.start("serve", BEARER="Bearer canary-bearer", PASS="canary-pass")
    serving.wait_for("hook alert sent")
    serving.wait_for("mail alert failed")
    services.put("gibbon-cms", answers(500))
    (call,) = sink.wait_for(1, channel="webhook")

    nothing_leaks(laya, serving, sink.entries())
    assert serving.end() == 0
    headers = {name.lower(): value for name, value in call.headers}
    assert headers["x-laya-signature"].startswith("t=")
    assert headers["x-token"] == "Bearer canary-bearer", "it goes where it belongs"


@pytest.mark.parametrize(
    "words",
    [
        ("check", "http://u:canary@127.0.0.1:1/?token=canary"),
        ("check", "http://u:canary@127.0.0.1:1/?token=canary", "--json"),
        ("check", "http://u:canary@127.0.0.1:1 2/canary"),
        ("check", "http://u:canary@127.0.0.1:port/canary"),
        ("up", "http://u:canary@host:port/canary"),
    ],
    ids=lambda words: " ".join(words)[:60],
)
def test_a_secret_in_a_url_on_the_command_line_is_not_repeated(laya: Installation, words: tuple[str, ...]) -> None:
    ended = laya.run(*words)

    assert ended.code in {1, 2}
    assert CANARY not in ended.out + ended.err


def test_a_problem_in_a_file_shows_no_secret(laya: Installation) -> None:
    file = laya.directory / "broken.yaml"
    file.write_text(
        """
monitors:
  a: { url: "http://u:canary@ho st/" }
  b: { url: "http://127.0.0.1/", headers: { Authorization: "canary\\nX: y" } }
notify:
  c: { type: webhook, url: "ftp://canary/canary" }
  d: { type: webhook, url: "http://127.0.0.1/canary", secret: "" }
  e: { type: email, to: x@example.org, user: u, password: ["canary"] }
  f: { type: slack, webhook: "canary" }
  g: { type: pagerduty, routing_key: "can ary-canary" }
""",
        encoding="utf-8",
    )

    ended = laya.run("validate", file)
    as_json = laya.run("validate", file, "--json")

    assert ended.code == as_json.code == 2
    assert len(ended.err.splitlines()) >= 6
    assert CANARY not in ended.out + ended.err + as_json.out + as_json.err

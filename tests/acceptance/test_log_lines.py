"""Every log line that the specification words, as a user sees it: on standard output and in the log file."""

import json
import os
import re
import signal
import stat
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from laya_uptime.testing.ledger import Answer, LedgerSink
from laya_uptime.testing.program import LINE, Installation
from laya_uptime.testing.services import (
    HEALTHY,
    REFUSES,
    Script,
    Services,
    answers,
    bomb,
    is_endless,
    is_silent,
    raw,
    resets,
    says,
    trickles,
)

RULE = "=" * 80
PATH = "/modules/System/health.php"

# The words that stand for something in the manual's list of log lines, and what they stand for.
BLANKS = {
    "H:MM:SS": r"\d+:\d\d:\d\d",
    "CODE": r"\d{3}",
    "N": r"\d+",
    **dict.fromkeys(
        ("NAME", "LABEL", "CAUSE", "ADDRESS", "URL", "HOST", "KIND", "PATH", "TITLE", "CHANNELS", "T"), ".+"
    ),
}
PARTS = re.compile(rf"(?<![A-Z])({'|'.join(BLANKS)})(?![A-Z])")


def about(service: str, messages: list[str]) -> list[str]:
    """Return the log lines about one service, with every time in milliseconds as Nms."""
    return [re.sub(r"\b\d+ms\b", "Nms", message) for message in messages if f" {service}:" in message]


def undocumented(messages: list[str]) -> list[str]:
    """Return the log lines that the manual's page about them does not list."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "log-lines.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (INFO|WARNING|ERROR) \| `(.*?)` \|", page, re.MULTILINE)
    shapes = [
        re.compile(f"{level} " + "".join(BLANKS.get(part, re.escape(part)) for part in PARTS.split(text)))
        for level, text in listed
    ]
    return [message for message in messages if not any(shape.fullmatch(message) for shape in shapes)]


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        pytest.param(says("healthy"), ["INFO ✓ Gibbon CMS: healthy (200) - Nms"], id="passing"),
        pytest.param(says("alive"), ["INFO ✓ Gibbon CMS: alive (200) - Nms"], id="passing, by its own word"),
        pytest.param(
            says("degraded", checks={"disk_space": {"status": "warning", "message": "Disk space running low"}}),
            [
                "WARNING ⚠ Gibbon CMS: degraded (200) - Nms",
                "WARNING    Gibbon CMS: disk_space warning, Disk space running low",
            ],
            id="degraded, with what is",
        ),
        pytest.param(
            says("unhealthy", status=503, checks={"database": {"status": "unhealthy"}}),
            ["WARNING ⚠ Gibbon CMS: unhealthy (503) - Nms", "WARNING    Gibbon CMS: database unhealthy"],
            id="unhealthy by its own word",
        ),
        pytest.param(REFUSES, ["ERROR ✗ Gibbon CMS: Connection failed - Connection refused"], id="refused"),
        pytest.param(resets, ["ERROR ✗ Gibbon CMS: Connection failed - Connection reset by peer"], id="reset"),
        pytest.param(answers(500, "oops"), ["ERROR ✗ Gibbon CMS: HTTP 500 - Nms"], id="other status"),
        pytest.param(
            answers(302, head="Location: /modules/System/health.php\r\n"),
            [f"ERROR ✗ Gibbon CMS: Invalid response - redirects go round in a circle, back to {PATH} (302) - Nms"],
            id="redirect loop",
        ),
        pytest.param(
            answers(302, head="Location: http://169.254.169.254/latest\r\n"),
            [
                (
                    "ERROR ✗ Gibbon CMS: Connection failed - redirect to http://169.254.169.254/latest is blocked: "
                    "169.254.169.254 is a link-local address, which the egress policy does not open"
                )
            ],
            id="blocked redirect",
        ),
        pytest.param(
            answers(200, "<html>Welcome</html>", kind="text/html"),
            ["ERROR ✗ Gibbon CMS: Invalid response - body is HTML, not a health document (200) - Nms"],
            id="no health document",
        ),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"),
            ["ERROR ✗ Gibbon CMS: Invalid response - the answer ended after 1 of 99 bytes of body (200) - Nms"],
            id="truncated",
        ),
        pytest.param(
            bomb(),
            ["ERROR ✗ Gibbon CMS: Invalid response - the body is too large: more than 1 MiB (200) - Nms"],
            id="a bomb",
        ),
        pytest.param(
            is_endless,
            ["ERROR ✗ Gibbon CMS: Invalid response - the body is too large: more than 1 MiB (200) - Nms"],
            id="endless",
        ),
        pytest.param(
            raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
            ["ERROR ✗ Gibbon CMS: Connection failed - the answer is not HTTP"],
            id="not HTTP",
        ),
    ],
)
def test_each_answer_has_its_line(laya: Installation, services: Services, script: Script, lines: list[str]) -> None:
    services.put("gibbon-cms", script)

    ended = laya.run("watch", "--dry-run")

    assert about("Gibbon CMS", ended.messages) == lines
    assert undocumented(ended.messages) == []


def test_two_that_do_not_finish_in_time(laya: Installation, services: Services) -> None:
    services.put("ai-service", is_silent)
    services.put("gibbon-cms", trickles)

    ended = laya.run("watch", "--dry-run")

    for service, doing in (("AI Service", "waiting for the first byte"), ("Gibbon CMS", "reading the answer")):
        line, cause = about(service, ended.messages)
        assert line == f"ERROR ✗ {service}: Request timeout (>10s)"
        assert cause.startswith(f"WARNING    {service}: no answer within 10 s, {doing}")
    assert about("Parent Portal", ended.messages) == ["INFO ✓ Parent Portal: healthy (200) - Nms"]
    assert ended.code == 1


@pytest.mark.parametrize(
    ("url", "line"),
    [
        pytest.param("http://no-such-host.invalid", r"Connection failed - .*no-such-host\.invalid.*", id="DNS"),
        pytest.param("https://{}", "Connection failed - the server does not speak TLS on this port", id="TLS"),
        pytest.param("http://[::]:1", "Unknown - :: is an unspecified address, which .*", id="ours, so unknown"),
    ],
)
def test_faults_before_the_answer(laya: Installation, services: Services, url: str, line: str) -> None:
    address = services.url("gibbon-cms").removeprefix("http://")

    ended = laya.run("watch", "--dry-run", GIBBON_URL=url.format(address))

    (told,) = about("Gibbon CMS", ended.messages)
    assert undocumented(ended.messages) == []
    assert re.fullmatch(rf"(ERROR ✗|WARNING \?) Gibbon CMS: {line}", told)


@pytest.mark.parametrize(
    "word", ["ok\n2026-01-01 00:00:00 - INFO - forged", "ok\r\nforged", "ok\u2028forged", "ok\x1b[2Jforged\x07"]
)
def test_a_stranger_can_forge_no_line(laya: Installation, services: Services, word: str) -> None:
    services.put("gibbon-cms", says("degraded", checks={word: {"status": "failing", "message": word}}))
    services.put("parent-portal", says(word))

    ended = laya.run("watch", "--dry-run")

    for text in (ended.out, laya.log.read_text(encoding="utf-8")):
        assert [line for line in text.splitlines() if line.startswith(("forged", "2026-01-01"))] == []
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u2028]", text)


def test_the_log_file_says_what_the_console_says(laya: Installation, services: Services) -> None:
    services.put("gibbon-cms", REFUSES)

    ended = laya.run("watch", "--dry-run")

    assert laya.log.read_text(encoding="utf-8") == ended.out
    for line in ended.out.splitlines():
        assert LINE.fullmatch(line) or line == RULE or line.startswith("Status Report") or " | " in line


def test_times_are_in_the_host_s_zone(laya: Installation) -> None:
    here = laya.run("watch", "--dry-run", TZ="<+0545>-5:45").lines[0].at
    there = laya.run("watch", "--dry-run", TZ="UTC").lines[0].at

    assert here is not None
    assert there is not None
    assert timedelta(hours=5, minutes=44) < here - there <= timedelta(hours=5, minutes=45)


def test_the_report_has_its_columns(laya: Installation, services: Services) -> None:
    services.put("gibbon-cms", REFUSES)
    services.put("parent-portal", says("warn"))

    ended = laya.run("watch", "--dry-run")

    report = re.sub(r"Avg RT: [ \d]{5}ms", "Avg RT:    Nms", ended.out)
    assert report[report.index(RULE) :].splitlines() == [
        RULE,
        "Status Report - Uptime: 0:00:00",
        RULE,
        "✓ AI Service           | Status: healthy    | Uptime: 100.00% | Failures:   0/  1 | Avg RT:    Nms",
        "✗ Gibbon CMS           | Status: down       | Uptime:   0.00% | Failures:   1/  1 | Avg RT:    Nms",
        "⚠ Parent Portal        | Status: degraded   | Uptime: 100.00% | Failures:   0/  1 | Avg RT:    Nms",
        RULE,
    ]


def test_unhealthy_is_a_warning_that_counts_as_a_failure(laya: Installation, services: Services) -> None:
    services.put("gibbon-cms", says("not_ready"))

    ended = laya.run("watch", "--dry-run")

    assert "✗ Gibbon CMS           | Status: unhealthy  | Uptime:   0.00% | Failures:   1/  1" in ended.out
    assert ended.code == 1


def test_a_watch_from_its_banner_to_its_farewell(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    """One outage of ten failures and more: every line that a long watch writes, each in its place."""
    services.put("gibbon-cms", REFUSES)

    watching = laya.start("watch", "--interval", "1", **alerts)
    watching.wait_for("Parent Portal: healthy", times=2)
    services.put("parent-portal", says("degraded"))
    watching.wait_for("Gibbon CMS: ALERT - 10 consecutive failures")
    watching.wait_for("Status Report")
    services.put("gibbon-cms", HEALTHY)
    back = watching.wait_for(r"🔄 Gibbon CMS: RECOVERED after (\d+) failures \(downtime: (\d):(\d\d):(\d\d)\)$")
    sink.wait_for(5, channel="email")
    sink.wait_for(5, channel="webhook")
    watching.wait_for("📧 Email alert sent", times=5)
    watching.wait_for("📡 Webhook alert sent", times=5)
    code = watching.end(signal.SIGINT)

    assert code == 0
    assert watching.err == ""
    assert watching.messages[:9] == [
        "INFO LAYA Uptime Monitoring started",
        "INFO Check interval: 1 seconds",
        "INFO Monitoring 3 services:",
        f"INFO   - AI Service: {services.url('ai-service', '/api/v1/health/liveness')}",
        f"INFO   - Gibbon CMS: {services.url('gibbon-cms', PATH)}",
        f"INFO   - Parent Portal: {services.url('parent-portal', '/api/health')}",
        "INFO Email alerts: on-call@example.org",
        "INFO Webhook alerts: 127.0.0.1 (webhook)",
        f"INFO Data: {laya.data / 'watch'}, log: {laya.log}",
    ]
    assert watching.messages[-1] == "INFO LAYA Uptime Monitoring stopped"
    assert [message for message in watching.messages if "🚨" in message] == [
        f"ERROR 🚨 Gibbon CMS: ALERT - {count} consecutive failures" for count in (1, 5, 10)
    ]
    failures, hours, minutes, seconds = map(int, back.groups())
    assert failures >= 10
    assert failures - 1 <= 3600 * hours + 60 * minutes + seconds <= failures + 1
    assert watching.messages.count("INFO 📧 Email alert sent to on-call@example.org") == 5
    assert watching.messages.count("INFO 📡 Webhook alert sent successfully") == 5
    rounds = [line.text for line in watching.lines].index(RULE)
    assert watching.out.count("Status Report - Uptime: 0:00:") == 2
    before = [line.message for line in watching.lines[:rounds] if line.message is not None]
    assert len([message for message in before if re.match(r"[✓⚠✗] AI Service", message)]) == 10
    assert [line.text for line in watching.lines[-8:-1]] == [
        RULE,
        next(line.text for line in watching.lines[-8:] if line.text.startswith("Status Report")),
        RULE,
        *(line.text for line in watching.lines[-5:-2]),
        RULE,
    ]
    assert "⚠ Parent Portal        | Status: degraded" in watching.lines[-3].text
    assert laya.log.read_text(encoding="utf-8") == watching.out
    assert undocumented(watching.messages) == []


def test_the_cause_of_a_warning_is_written_once_until_it_changes(laya: Installation, services: Services) -> None:
    services.put("gibbon-cms", says("degraded", checks={"disk": {"status": "warning", "message": "90 % full"}}))

    watching = laya.start("watch", "--interval", "1")
    watching.wait_for("⚠ Gibbon CMS", times=2)
    services.put("gibbon-cms", says("degraded", checks={"disk": {"status": "warning", "message": "95 % full"}}))
    watching.wait_for("disk warning, 95 % full")
    watching.end()

    assert [message for message in watching.messages if "disk" in message] == [
        "WARNING    Gibbon CMS: disk warning, 90 % full",
        "WARNING    Gibbon CMS: disk warning, 95 % full",
    ]


def test_a_delivery_that_fails_says_why_and_when_next(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    services.put("gibbon-cms", REFUSES)
    sink.answer_always("http", Answer(status=503))
    sink.answer_always("email", Answer(status=451))

    watching = laya.start("watch", **alerts)
    webhook = watching.wait_for("📡 Webhook alert failed - (.*), next try in ([2-5])s$")
    email = watching.wait_for("📧 Email alert failed - (.*), next try in ([2-5])s$")
    watching.end()

    assert "503" in webhook[1]
    assert "451" in email[1]
    assert f"ERROR 📡 Webhook alert failed - {webhook[1]}, next try in {webhook[2]}s" in watching.messages
    assert undocumented(watching.messages) == []


def test_a_delivery_that_cannot_succeed_is_given_up_and_the_other_channel_told(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    services.put("gibbon-cms", REFUSES)
    sink.answer_always("http", Answer(status=410))

    watching = laya.start("watch", **alerts)
    watching.wait_for("📡 Webhook alert failed - .*410.*, giving up$")
    watching.wait_for("📧 Email alert sent", times=2)
    watching.end()

    assert {entry.transition for entry in sink.entries("email")} == {"down", "undelivered"}
    assert undocumented(watching.messages) == []


def test_the_log_file_is_private_and_appended_to(laya: Installation) -> None:
    before = os.umask(0)
    try:
        laya.run("watch", "--dry-run")
        first = laya.log.read_text(encoding="utf-8")
        second = laya.run("watch", "--dry-run").out
    finally:
        os.umask(before)

    assert stat.S_IMODE(laya.log.stat().st_mode) == 0o600
    assert laya.log.read_text(encoding="utf-8") == first + second


def test_a_log_file_that_cannot_be_written_is_a_warning(laya: Installation, tmp_path: Path) -> None:
    nowhere = tmp_path / "missing" / "watch.log"

    ended = laya.run("watch", "--dry-run", "--log-file", nowhere)

    assert ended.code == 0
    assert undocumented(ended.messages) == []
    assert ended.messages[0] == (
        f"WARNING The log file {nowhere} cannot be written (No such file or directory); logging to the console only"
    )
    assert not nowhere.parent.exists()


@pytest.mark.parametrize(
    "terminal",
    [
        pytest.param({"PYTHONIOENCODING": "ascii"}, id="ASCII"),
        pytest.param({"PYTHONIOENCODING": "latin-1"}, id="Latin-1"),
        pytest.param({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, id="the C locale"),
    ],
)
def test_signs_that_a_terminal_cannot_show_are_escaped(
    laya: Installation, services: Services, terminal: dict[str, str]
) -> None:
    services.put("gibbon-cms", REFUSES)

    ended = laya.run("watch", "--dry-run", **terminal)

    assert ended.code == 1
    assert ended.err == ""
    assert "INFO \\u2713 AI Service: healthy (200)" in ended.messages[0] + ended.messages[1] + ended.messages[2]
    assert "✓ AI Service: healthy (200)" in laya.log.read_text(encoding="utf-8"), "the file is UTF-8 all the same"


def test_payload_and_log_agree_on_the_instant(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    services.put("gibbon-cms", REFUSES)

    watching = laya.start("watch", TZ="<+0545>-5:45", **alerts)
    (entry,) = sink.wait_for(1, channel="webhook")
    watching.wait_for("🚨 Gibbon CMS")
    watching.end()

    told = datetime.fromisoformat(json.loads(entry.raw)["timestamp"])
    logged = next(line.at for line in watching.lines if line.message and "✗ Gibbon CMS" in line.message)
    assert told.utcoffset() == timedelta(hours=5, minutes=45)
    assert logged is not None
    assert abs(told.replace(tzinfo=None) - logged) <= timedelta(seconds=2)

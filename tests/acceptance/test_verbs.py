"""The other verbs: what they print, for people and as JSON, and the code they end with."""

import json
import re
import signal
import socket
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from laya_uptime.testing.ledger import LedgerSink
from laya_uptime.testing.program import Ended, Installation
from laya_uptime.testing.services import REFUSES, Services, answers, is_silent, says

VERBS = ("watch", "up", "serve", "check", "validate", "schema", "doctor")


def write(laya: Installation, text: str, name: str = "laya-uptime.yaml") -> Path:
    """Write a configuration file into the working directory."""
    file = laya.directory / name
    file.write_text(text, encoding="utf-8")
    return file


def read(ended: Ended) -> Any:  # noqa: ANN401  whatever JSON it is
    """Return the one JSON value that a run printed."""
    return json.loads(ended.out)


# --- check


def test_check_shows_all_it_saw(laya: Installation, services: Services) -> None:
    services.put("ai-service", says("degraded", checks={"disk": {"status": "warning", "message": "90 % full"}}))
    url = services.url("ai-service", "/health")

    ended = laya.run("check", url, "--expect", "status == 200", "--prefer", "latency < 1ms")

    assert (ended.code, ended.err) == (0, "")
    first, second, *rest = ended.out.splitlines()
    host = url.removeprefix("http://")
    assert re.fullmatch(rf"▲ {host} degraded \(200\) \d+ ms: disk warning, 90 % full", first)
    assert second.strip() == url
    told = "\n".join(rest)
    for fact in ("reason: reported_degraded", "connected to 127.0.0.1", "▲ disk: warning, 90 % full"):
        assert fact in told
    assert re.search(r"✓ status == 200 +status = 200", told)
    assert re.search(r"✗ latency < 1ms +latency = ", told)
    for phase in ("connect", "send", "wait", "read"):
        assert re.search(rf"^  {phase} +\d+\.\d ms +█+$", told, re.MULTILINE)


def test_check_tells_which_addresses_it_tried_in_vain(laya: Installation, services: Services) -> None:
    families = {family for family, *_ in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}
    if families != {socket.AF_INET, socket.AF_INET6}:
        pytest.skip("localhost has not an address of each family here")
    url = services.url("ai-service", "/").replace("127.0.0.1", "localhost")  # which listens on IPv4 alone

    drawn, told = laya.run("check", url), laya.run("check", url, "--json")

    if "attempts" not in json.loads(told.out)["evidence"]:
        pytest.skip("this machine tries IPv4 first")
    refused, connected = json.loads(told.out)["evidence"]["attempts"]
    assert (refused["address"], refused["cause"]) == ("::1", "Connection refused")
    assert (connected["address"], "cause" in connected) == ("127.0.0.1", False)
    assert re.search(r"^  tried ::1: Connection refused, \d+\.\d ms$", drawn.out, re.MULTILINE)


def test_check_takes_every_scheme(laya: Installation, services: Services) -> None:
    host = services.url("ai-service", "").removeprefix("http://").rstrip("/")

    tcp, tls = (laya.run("check", f"{scheme}://{host}") for scheme in ("tcp", "tls"))

    assert (tcp.code, tcp.err, tls.code, tls.err) == (0, "", 1, "")
    assert re.match(rf"✓ {host} up \d+ ms\n  tcp://{host}\n  connected to 127.0.0.1\n  connect +", tcp.out)
    assert re.match(rf"✗ {host} down \d+ ms: .*\n  tls://{host}\n  reason: tls_handshake\n", tls.out)


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        pytest.param((), 0, None, id="up"),
        pytest.param(("--expect", "status == 201"), 1, "assertion", id="an expectation missed"),
        pytest.param(("--expect", "status == 200", "--expect", 'body.status == "no"'), 1, "assertion", id="one of two"),
        pytest.param(("--prefer", "status == 201"), 0, "assertion", id="a preference missed"),
        pytest.param(("--health", "off"), 0, None, id="health off"),
    ],
)
def test_check_ends_with_1_where_it_is_down(
    laya: Installation, services: Services, words: tuple[str, ...], code: int, reason: str | None
) -> None:
    ended = laya.run("check", services.url("ai-service", "/health"), "--json", *words)

    assert (ended.code, ended.err) == (code, "")
    assert read(ended)["reason"] == reason


def test_check_as_json_says_the_same(laya: Installation, services: Services) -> None:
    services.put("ai-service", says("unhealthy", status=503, checks={"db": {"status": "down", "message": "gone"}}))

    ended = laya.run("check", services.url("ai-service", "/health"), "--json")

    told = read(ended)
    assert ended.code == 1
    assert told.keys() == {
        "url",
        "outcome",
        "label",
        "reason",
        "detail",
        "at",
        "elapsed_ms",
        "components",
        "evidence",
    }
    assert (told["outcome"], told["label"], told["reason"]) == ("down", "unhealthy", "reported_unhealthy")
    assert told["detail"] == "db down, gone"
    assert told["components"] == [{"name": "db", "status": "down", "outcome": "down", "message": "gone"}]
    assert told["evidence"]["status"] == 503
    assert told["evidence"]["phases_ms"].keys() >= {"connect", "send", "wait", "read"}


def test_check_shows_the_wire_where_asked_and_no_secret_of_it(laya: Installation, services: Services) -> None:
    there = services.url("gibbon-cms", "/there?token=canary-location").replace("127.0.0.1", "localhost")
    services.put(
        "ai-service",
        answers(302, head=f"Set-Cookie: sid=canary-cookie\r\nLocation: {there}\r\n"),
    )
    services.put("gibbon-cms", answers(200, "\x1b[31mcanary-password\x00", kind="text/plain"))
    url = services.url("ai-service", "/?api_key=canary-key").replace("//", "//canary-user:canary-password@")

    drawn = laya.run("check", url, "--trace")
    told = laya.run("check", url, "--trace", "--json")

    assert (drawn.code, drawn.err) == (0, "")
    assert "canary" not in drawn.out + told.out
    assert "\x1b" not in drawn.out
    for line in (
        "> GET /?api_key=•••••• HTTP/1.1",
        "> Authorization: ••••••",
        "< HTTP/1.1 302 As Told",
        "< Set-Cookie: ••••••",
        "> GET /there?token=•••••• HTTP/1.1",
        r"< \x1b[31m••••••\x00",
    ):
        assert re.search(rf"^ +\d+\.\d ms  {re.escape(line)}$", drawn.out, re.MULTILINE), line
    assert drawn.out.count("> Authorization") == 1  # the other origin is told nothing
    lines = read(told)["trace"]
    assert all(line.keys() == {"at_ms", "kind", "text"} for line in lines)
    assert {"kind": "received", "text": "Set-Cookie: ••••••"} in [
        {key: line[key] for key in ("kind", "text")} for line in lines
    ]
    assert [line["at_ms"] for line in lines] == sorted(line["at_ms"] for line in lines)


def test_check_shows_no_wire_where_nobody_asks(laya: Installation, services: Services) -> None:
    drawn = laya.run("check", services.url("ai-service", "/"))

    assert "GET / HTTP/1.1" not in drawn.out


def test_check_of_what_refuses(laya: Installation, services: Services) -> None:
    services.put("ai-service", REFUSES)

    ended = laya.run("check", services.url("ai-service", "/"))

    assert ended.code == 1
    assert re.match(r"✗ 127\.0\.0\.1:\d+/ down \d+ ms: Connection refused\n", ended.out)


def test_check_requires_a_health_document_where_told(laya: Installation, services: Services) -> None:
    services.put("ai-service", answers(200, "hello", kind="text/plain"))

    plain = laya.run("check", services.url("ai-service", "/"), "--json")
    required = laya.run("check", services.url("ai-service", "/"), "--health", "required", "--json")

    assert (plain.code, required.code) == (0, 1)
    assert read(required)["reason"] == "body_invalid"


def test_check_keeps_its_timeout(laya: Installation, services: Services) -> None:
    services.put("ai-service", is_silent)

    ended = laya.run("check", services.url("ai-service", "/"), "--timeout", "300ms", "--json")

    assert ended.code == 1
    assert read(ended)["reason"] == "timeout"
    assert read(ended)["elapsed_ms"] >= 290


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("",), "scheme"),
        (("nope",), "'nope' does not begin with a scheme"),
        (("gopher://127.0.0.1:1",), "no check is called 'gopher'"),
        (("tcp://127.0.0.1",), "it must be of the form tcp://host:port"),
        (("http://",), "the host name has an empty part"),
        (("http://127.0.0.1:1/", "--timeout", "5"), "has no unit"),
        (("http://127.0.0.1:1/", "--health", "maybe"), "expected required, auto or off"),
        (("http://127.0.0.1:1/", "--expect", "status = 200"), "Did you mean '=='?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_check_refuses_what_it_cannot_do_in_one_line(laya: Installation, words: tuple[str, ...], told: str) -> None:
    ended = laya.run("check", *words)

    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("laya-uptime: command line: ")
    assert told in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_hostile_answer_draws_no_escapes(laya: Installation, services: Services) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\r\nforged\u202e"
    document = {"status": "degraded", evil: evil, "checks": {evil: {"status": "failing", "message": evil}}}
    services.put("ai-service", answers(200, document, head="X-Evil: \x1b[2J\r\nServer: \x1b[31m\r\n"))

    ended = laya.run("check", services.url("ai-service", "/health"), "--expect", 'text == "x"')
    as_json = laya.run("check", services.url("ai-service", "/health"), "--json")

    assert ended.code == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", ended.out + as_json.out)
    assert read(as_json)["outcome"] in {"degraded", "down"}


# --- validate and schema


SOUND = """
monitors:
  a: http://127.0.0.1:1/
  b: { url: "http://127.0.0.1:2/", every: 30s }
notify:
  hook: { type: webhook, url: "http://127.0.0.1:3/" }
"""

BROKEN = """\
defaults: { intervall: 20s }
monitors:
  a: { url: "htpp://x", every: 5 }
  b: { url: "http://x", expect: "status = 200" }
notify:
  hook: { type: webhok }
"""


def test_validate_counts_what_a_sound_file_holds(laya: Installation) -> None:
    file = write(laya, SOUND)

    found = laya.run("validate")
    named = laya.run("validate", file, "--json")

    assert (found.code, found.err) == (0, "")
    assert found.out == "laya-uptime.yaml: 2 monitors, 1 channel: no errors\n"
    assert (named.code, named.err) == (0, "")
    told = read(named)
    assert (told["monitors"], told["channels"], told["problems"]) == (["a", "b"], ["hook"], [])


def test_validate_tells_every_mistake_with_its_place(laya: Installation) -> None:
    file = write(laya, BROKEN, "broken.yaml")

    ended = laya.run("validate", file)
    as_json = laya.run("validate", file, "--json")

    assert ended.code == as_json.code == 2
    assert ended.out == ""
    lines = ended.err.splitlines()
    places = [re.match(rf"laya-uptime: {file}:(\d+):(\d+): \S", line) for line in lines]
    assert [place and int(place[1]) for place in places] == [1, 3, 3, 4, 6]
    assert "did you mean 'every'?" in lines[0].lower() or "intervall" in lines[0]
    problems = read(as_json)["problems"]
    assert [f"laya-uptime: {each['where']}:" for each in problems] == [
        line[: line.index(": ", 13) + 1] for line in lines
    ]
    assert as_json.err == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("", "the file is empty", id="empty"),
        pytest.param("- a\n- b\n", "must be a mapping", id="a list"),
        pytest.param("monitors: [\n", "", id="cut off"),
        pytest.param("monitors:\n\ta: http://x\n", "tab", id="a tab"),
        pytest.param("a: 1\na: 2\n", "twice", id="a key twice"),
        pytest.param("monitors: { a: !!python/object:os.system x }\n", "tag", id="a tag"),
        pytest.param('monitors: { a: "${NOT_SET}" }\n', "NOT_SET", id="a variable that is not set"),
    ],
)
def test_validate_says_what_is_wrong_with_a_strange_file(laya: Installation, text: str, told: str) -> None:
    ended = laya.run("validate", write(laya, text))

    assert ended.code == 2
    assert told in ended.err
    for line in ended.err.splitlines():
        assert re.match(r"laya-uptime: .*laya-uptime\.yaml:\d+:\d+: ", line), line


def test_validate_without_a_file_says_so(laya: Installation) -> None:
    nothing = laya.run("validate")
    missing = laya.run("validate", "nowhere.yaml")

    assert (nothing.code, missing.code) == (2, 2)
    assert "no configuration file was found" in nothing.err
    assert "laya-uptime validate FILE" in nothing.err
    assert "nowhere.yaml: the configuration cannot be read: No such file or directory" in missing.err


def test_the_file_is_found_where_it_is_said_to_be(laya: Installation) -> None:
    places = {
        "LAYA_UPTIME_CONFIG": write(laya, "monitors: { variable: http://127.0.0.1:1/ }", "elsewhere.yaml"),
        "home": laya.home / ".config" / "laya-uptime" / "config.yaml",
    }
    places["home"].parent.mkdir(parents=True)
    places["home"].write_text("monitors: { home: http://127.0.0.1:1/ }", encoding="utf-8")

    def monitors(*words: str | Path, **variables: str) -> list[str]:
        told: list[str] = read(laya.run("validate", *words, "--json", **variables))["monitors"]
        return told

    assert monitors() == ["home"]
    write(laya, "monitors: { here: http://127.0.0.1:1/ }")
    assert monitors() == ["here"]
    assert monitors(LAYA_UPTIME_CONFIG=str(places["LAYA_UPTIME_CONFIG"])) == ["variable"]
    assert monitors(places["home"], LAYA_UPTIME_CONFIG=str(places["LAYA_UPTIME_CONFIG"])) == ["home"]


def test_schema_is_a_json_schema_that_takes_what_validate_takes(laya: Installation) -> None:
    ended = laya.run("schema")
    (laya.directory / "schema.json").write_text(ended.out, encoding="utf-8")
    sound, broken = write(laya, SOUND), write(laya, BROKEN, "broken.yaml")

    def checked(file: Path) -> int:
        checker = [sys.executable, "-m", "check_jsonschema", "--schemafile", "schema.json"]
        return laya.run(file, command=checker).code

    assert (ended.code, ended.err) == (0, "")
    assert read(ended)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert yaml.safe_load(SOUND)
    assert (checked(sound), checked(broken)) == (0, 1)


# --- serve and up


def test_serve_watches_the_file_until_told_to_stop(laya: Installation, services: Services, sink: LedgerSink) -> None:
    services.put("gibbon-cms", REFUSES)
    file = write(
        laya,
        f"""
site: {{ timezone: Asia/Kathmandu }}
defaults: {{ every: 1s, confirm: 1, recover: 1 }}
monitors:
  AI: {services.url("ai-service", "/health")}
  Gibbon: {services.url("gibbon-cms", "/health")}
notify:
  hook: {{ type: webhook, url: "{sink.url("/webhook")}", title: Pager }}
log: {{ file: {laya.directory / "serve.log"} }}
""",
        "config.yaml",
    )

    serving = laya.start("serve", "-c", file)
    serving.wait_for("✓ AI: healthy", times=2)
    serving.wait_for("🚨 Gibbon: ALERT - 1 consecutive failures")
    serving.wait_for("📡 Pager alert sent successfully")
    (call,) = sink.wait_for(1, channel="webhook")
    code = serving.end(signal.SIGINT)

    assert (code, serving.err) == (0, "")
    assert serving.messages[:3] == [
        f"INFO laya-uptime serves: 2 monitors from {file}",
        "INFO Alerts go to: hook",
        f"INFO Data: {laya.data}, log: {laya.directory / 'serve.log'}",
    ]
    assert serving.messages[-1] == "INFO laya-uptime stopped"
    assert json.loads(call.raw)["timestamp"].endswith("+05:45"), "the zone of the file's people"
    assert (laya.directory / "serve.log").read_text(encoding="utf-8") == serving.out


def test_serve_logs_as_json_where_told(laya: Installation, services: Services) -> None:
    write(laya, f"monitors: {{ a: {services.url('ai-service', '/health')} }}\nlog: {{ format: json }}\n")

    serving = laya.start("serve")
    serving.wait_for("healthy")
    serving.end()

    records = [json.loads(line.text) for line in serving.lines if not line.text.startswith(("=", "Status", "✓"))]
    assert all(record.keys() == {"time", "level", "message"} for record in records)
    assert any("✓ a: healthy (200)" in record["message"] for record in records)


def test_serve_refuses_a_broken_file_before_anything_begins(laya: Installation) -> None:
    ended = laya.run("serve", "-c", write(laya, BROKEN, "broken.yaml"))

    assert (ended.code, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 5
    assert not laya.data.exists()


def test_serve_warns_of_what_works_but_is_no_good(laya: Installation, services: Services) -> None:
    file = write(
        laya,
        f"monitors: {{ a: {services.url('ai-service', '/health')} }}\n"
        'notify: { h: { type: webhook, url: "http://127.0.0.1:1/", secret: written-here } }\n',
    )
    file.chmod(0o644)

    serving = laya.start("serve")
    serving.wait_for("✓ a: healthy")
    serving.end()

    assert re.search(r"^laya-uptime: warning: laya-uptime\.yaml(:\d+:\d+)?: ", serving.err, re.MULTILINE)
    assert "written-here" not in serving.err


def test_up_watches_urls_and_draws_their_first_check(laya: Installation, services: Services) -> None:
    urls = [services.url("ai-service", "/health"), services.url("gibbon-cms", "/health?a=1")]

    rising = laya.start("up", *urls, urls[0], services.url("gibbon-cms", "/health?a=2"))
    for url in (urls[0], urls[1].partition("?")[0]):
        rising.wait_for(rf"✓ {url.removeprefix('http://')}: healthy \(200\)")
    rising.wait_for(r"^  connect \d+\.\d ms  send", times=3)
    rising.wait_for(r"health \(2\): healthy")
    code = rising.end(signal.SIGINT)

    assert (code, rising.err) == (0, "")
    assert rising.messages[0] == "INFO laya-uptime is up: 3 monitors from command line"
    assert rising.messages[1] == "INFO Alerts go to: nobody yet"
    assert list(laya.home.rglob("*")) == [], "the URLs are not remembered"


def test_up_adds_urls_to_the_file(laya: Installation, services: Services) -> None:
    write(laya, f"monitors: {{ portal: {services.url('parent-portal', '/api/health')} }}\n")

    rising = laya.start("up", services.url("ai-service", "/health"))
    rising.wait_for("✓ portal: healthy")
    rising.wait_for(r"✓ 127\.0\.0\.1:\d+/health: healthy")

    assert rising.end() == 0


@pytest.mark.parametrize("verb", ["up", "serve"])
def test_without_file_or_url_there_is_a_hint(laya: Installation, verb: str) -> None:
    ended = laya.run(verb)

    assert (ended.code, ended.out) == (2, "")
    assert "there is nothing to watch" in ended.err
    assert "laya-uptime up https://" in ended.err
    assert "laya-uptime.yaml" in ended.err


@pytest.mark.parametrize("verb", ["up", "serve"])
def test_a_file_that_is_named_and_not_there_is_an_error(laya: Installation, verb: str) -> None:
    ended = laya.run(verb, "--config", "nowhere.yaml")

    assert (ended.code, ended.out) == (2, "")
    assert "nowhere.yaml: the configuration cannot be read: No such file or directory" in ended.err


def test_up_names_every_url_that_is_none(laya: Installation) -> None:
    ended = laya.run("up", "nope", "http://127.0.0.1:1/", "http://host:port/")

    assert (ended.code, ended.out) == (2, "")
    first, second = ended.err.splitlines()
    assert first.startswith("laya-uptime: command line: URL 1: ")
    assert second.startswith("laya-uptime: command line: URL 3: ")


def test_serve_and_watch_do_not_share_a_data_directory(laya: Installation, services: Services) -> None:
    write(laya, f"monitors: {{ a: {services.url('ai-service', '/health')} }}\n")

    watching, serving = laya.start("watch"), laya.start("serve")
    watching.wait_for("✓ AI Service")
    serving.wait_for("✓ a: healthy")
    second = laya.run("serve")

    assert second.code == 2
    assert f"is in use by process {serving.pid}" in second.err
    assert (watching.end(), serving.end()) == (0, 0)


# --- doctor


def test_doctor_finds_nothing_wrong_here_and_leaves_nothing(laya: Installation) -> None:
    ended = laya.run("doctor")
    as_json = laya.run("doctor", "--json")

    assert (ended.code, ended.err, as_json.code) == (0, "", 0)
    names = [each["name"] for each in read(as_json)]
    assert names == ["SQLite", "clock", "data directory", "disk", "write speed", "certificates", "names", "pings"]
    assert all(each.keys() == {"name", "good", "what", "remedy"} for each in read(as_json))
    assert [re.match(r"[✓▲✗] ([\w ]+): ", line)[1] for line in ended.out.splitlines()] == names  # type: ignore[index]
    assert not laya.data.exists()


def test_doctor_says_how_to_mend_a_data_directory(laya: Installation) -> None:
    laya.data.mkdir(mode=0o755)
    laya.data.chmod(0o755)

    ended = laya.run("doctor")

    assert ended.code == 0
    assert f"▲ data directory: others may look into {laya.data}. chmod 700 {laya.data}\n" in ended.out


def test_doctor_live_is_good_while_it_works_and_bad_when_it_is_dead(laya: Installation) -> None:
    never = laya.run("doctor", "--live")
    watching = laya.start("watch", "--interval", "1")
    watching.wait_for("✓ Parent Portal", times=2)
    alive = laya.run("doctor", "--live")
    watching.end(signal.SIGKILL)
    age_the_heartbeat(laya, seconds=60)
    dead = laya.run("doctor", "--live")
    as_json = laya.run("doctor", "--live", "--json")

    assert (never.code, alive.code, dead.code, as_json.code) == (1, 0, 1, 1)
    assert re.fullmatch(
        r"✗ heartbeat: .*/laya-uptime\.db cannot be read: no service has run there yet\. Start it\.\n", never.out
    )
    assert re.fullmatch(r"✓ heartbeat: \d+ s ago in .*/watch/laya-uptime\.db\n", alive.out)
    assert re.fullmatch(r"✗ heartbeat: the last one in .* is \d+ s old\. Start the service\.\n", dead.out)
    assert read(as_json)[0]["good"] is False
    assert (never.err, alive.err, dead.err) == ("", "", "")


def test_doctor_live_on_what_is_no_database(laya: Installation) -> None:
    (laya.data / "watch").mkdir(parents=True)
    (laya.data / "watch" / "laya-uptime.db").write_bytes(b"no database")

    ended = laya.run("doctor", "--live")

    assert (ended.code, ended.err) == (1, "")
    assert ended.out.startswith("✗ heartbeat: ")


def age_the_heartbeat(laya: Installation, *, seconds: int) -> None:
    """Set the last heartbeat back, as if that much time had gone by since."""
    connection = sqlite3.connect(laya.data / "watch" / "laya-uptime.db")
    with connection:
        connection.execute("UPDATE source_mark SET seen_at = seen_at - ?", (seconds * 1000,))
    connection.close()


# --- all of them


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(laya: Installation, verb: str) -> None:
    ended = laya.run(verb, "--help")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: laya-uptime {verb}")


@pytest.mark.parametrize("words", [("check", "URL", "--json"), ("schema",), ("doctor",)], ids=lambda words: words[0])
def test_a_reader_that_leaves_is_no_fault(laya: Installation, services: Services, words: tuple[str, ...]) -> None:
    given = [services.url("ai-service", "/health") if word == "URL" else word for word in words]
    pipe = 'set -o pipefail; "$@" | head -c 1 >/dev/null'

    ended = laya.run(*given, command=["bash", "-c", pipe, "bash", *laya.command])

    assert (ended.code, ended.err) == (0, "")


def test_an_internal_fault_is_one_line_and_70(laya: Installation) -> None:
    broken = "import laya_uptime.bootstrap as b; b.examine = None; from laya_uptime.cli import main; exit(main())"

    ended = laya.run("doctor", command=[sys.executable, "-c", broken])

    assert (ended.code, ended.out) == (70, "")
    assert len(ended.err.splitlines()) == 1
    assert "internal fault (TypeError)" in ended.err
    assert "LAYA_UPTIME_TRACEBACK=1" in ended.err


def test_the_output_of_every_verb_fits_an_ascii_terminal(laya: Installation, services: Services) -> None:
    for words in (("check", services.url("ai-service", "/health")), ("doctor",), ("doctor", "--live")):
        ended = laya.run(*words, PYTHONIOENCODING="ascii")

        assert ended.err == ""
        assert ended.out.isascii()

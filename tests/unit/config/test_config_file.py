"""Whole files: what they become, and what is wrong with them."""

import os
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from laya_uptime.config.configuration import Configuration, LogSettings
from laya_uptime.config.load import find_file, load
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.monitor import HealthMode, Monitor, Patience, Rules
from laya_uptime.errors import ConfigError, Problem

Configured = Callable[..., Configuration]
Problems = Callable[..., tuple[Problem, ...]]
Complaint = Callable[..., str]

SMALLEST = """\
monitors:
  AI Service:    http://localhost:8000/api/v1/health/liveness
  Gibbon CMS:    http://localhost:80/modules/System/health.php
  Parent Portal: http://localhost:3000/api/health
"""

LARGER = """\
site: { name: Riverside School, timezone: Europe/Berlin }
defaults: { every: 30s, timeout: 8s, confirm: 2, recover: 2 }
groups:
  LAYA: { every: 20s, confirm: 3, expect: status == 200 }
  empty:
monitors:
  ai:
    name: AI Service
    group: LAYA
    url: http://localhost:8000/api/v1/health/liveness
    every: 1m
    expect: [status == 200, body.status == "ok"]
    prefer: [latency < 500ms]
  gibbon:
    name: Gibbon CMS
    group: LAYA
    url: http://localhost:80/modules/System/health.php
    health: required
    expect: [status in 200..299, not (text matches "(?i)fatal error")]
  portal:
    group: LAYA
    url: http://u:pw@localhost:3000/
    headers:
      Authorization: Bearer ${PORTAL_TOKEN}
      Accept: application/json
    remind: 0
    cert_warning: 30d
notify:
  mail: { type: email, to: [ops@riverside.example] }
  chat:
    type: slack
    webhook: ${SLACK}
  pager:
    title: Pager
    type: webhook
    url: https://pager.riverside.example/hook
    secret: ${PAGER_SECRET}                # signs every request
egress: { allow: [169.254.169.254, "fe80::/10"] }
log: { file: uptime.log, format: json, max_size: 512KiB, keep: 3 }
store: { retention: { results: 30d } }
"""
SECRETS = {"PORTAL_TOKEN": "t", "SLACK": "https://hooks.slack.com/services/T/B/x", "PAGER_SECRET": "p"}


def test_three_lines_are_a_whole_configuration(configured: Configured) -> None:
    found = configured(SMALLEST)

    assert [watched.monitor for watched in found.monitors] == [
        Monitor(
            id=id_,
            name=name,
            target=target,
            every=timedelta(seconds=60),
            timeout=timedelta(seconds=10),
            patience=Patience(failures=2, passes=2),
            rules=Rules(health=HealthMode.AUTO, cert_warning=timedelta(days=14), health_in_path=True),
            remind_every=5,
        )
        for id_, name, target in (
            ("ai-service", "AI Service", "http://localhost:8000/api/v1/health/liveness"),
            ("gibbon-cms", "Gibbon CMS", "http://localhost:80/modules/System/health.php"),
            ("parent-portal", "Parent Portal", "http://localhost:3000/api/health"),
        )
    ]
    assert [watched.position for watched in found.monitors] == ["c.yaml:2:3", "c.yaml:3:3", "c.yaml:4:3"]
    assert found == Configuration(
        source="c.yaml", site_name="laya-uptime", timezone=ZoneInfo("UTC"), monitors=found.monitors, channels=()
    )


def test_a_larger_file_is_understood_as_a_whole(configured: Configured) -> None:
    found = configured(LARGER, **SECRETS)

    assert (found.site_name, found.timezone) == ("Riverside School", ZoneInfo("Europe/Berlin"))
    assert found.egress == EgressPolicy.parse(["169.254.169.254", "fe80::/10"])
    assert found.log == LogSettings(file="uptime.log", format="json", max_size=512 * 1024, keep=3)
    assert found.retention == timedelta(days=30)
    assert [(c.id, c.kind, c.title) for c in found.channels] == [
        ("mail", "email", "mail"),
        ("chat", "slack", "chat"),
        ("pager", "webhook", "Pager"),
    ]
    assert [channel.notifier.address for channel in found.channels] == [
        "ops@riverside.example",
        "hooks.slack.com",
        "pager.riverside.example",
    ]


def test_the_most_particular_setting_counts(configured: Configured) -> None:
    ai, gibbon, portal = (watched.monitor for watched in configured(LARGER, **SECRETS).monitors)

    assert [monitor.every.total_seconds() for monitor in (ai, gibbon, portal)] == [60, 20, 20]
    assert [monitor.timeout.total_seconds() for monitor in (ai, gibbon, portal)] == [8, 8, 8]
    assert {monitor.patience for monitor in (ai, gibbon, portal)} == {Patience(failures=3, passes=2)}
    assert [[one.text for one in monitor.rules.expect] for monitor in (ai, gibbon, portal)] == [
        ["status == 200", 'body.status == "ok"'],
        ["status in 200..299", 'not (text matches "(?i)fatal error")'],
        ["status == 200"],
    ]
    assert [one.text for one in ai.rules.prefer] == ["latency < 500ms"]
    assert [monitor.rules.health.value for monitor in (ai, gibbon, portal)] == ["auto", "required", "auto"]
    assert (portal.remind_every, portal.rules.cert_warning.days) == (0, 30)
    assert {monitor.group for monitor in (ai, gibbon, portal)} == {"LAYA"}
    assert (ai.name, gibbon.name, portal.name) == ("AI Service", "Gibbon CMS", "portal")


def test_a_monitor_shows_no_credentials_and_its_check_has_them(configured: Configured) -> None:
    portal = configured(LARGER, **SECRETS).monitors[2]

    assert portal.monitor.target == "http://localhost:3000/"
    assert not portal.monitor.rules.health_in_path
    assert portal.check.url.reveal() == "http://u:pw@localhost:3000/"  # type: ignore[attr-defined]
    assert portal.check.headers["Authorization"].reveal() == "Bearer t"  # type: ignore[attr-defined]
    assert "pw" not in repr(portal)


@pytest.mark.parametrize(
    ("key", "id_"),
    [
        ("AI Service", "ai-service"),
        ("ai_service", "ai-service"),
        ("  (AI)  --  Service! ", "ai-service"),
        ("Büro Süd", "büro-süd"),
        ("保育園 1", "保育園-1"),
        ("404", "404"),
        ("true", "true"),
    ],
)
def test_a_name_becomes_an_id(configured: Configured, key: str, id_: str) -> None:
    (watched,) = configured(f"monitors: {{'{key}': 'http://a.example/'}}").monitors

    assert watched.monitor.id == id_


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # C01: unknown keys at each nesting
        ("monitor: {}", "c.yaml:1:1: unknown key 'monitor' at the top of the file; did you mean 'monitors'?"),
        ("alerts: {}", "c.yaml:1:1: unknown key 'alerts' at the top of the file. Known: defaults, egress, exec, groups, log,"),
        ("site: {nmae: x}", "c.yaml:1:8: unknown key 'nmae' under site; did you mean 'name'? Known: name, timezone."),
        ("store: {retention: {result: 1d}}", "c.yaml:1:21: unknown key 'result' under store.retention;"),
        ("groups: {LAYA: {evry: 5s}}", "c.yaml:1:17: unknown key 'evry' under groups.LAYA; did you mean 'every'?"),
        (
            "monitors:\n  gibbon:\n    url: http://g.example/\n    intervall: 30s\n",
            "c.yaml:4:5: unknown key 'intervall' under monitors.gibbon; did you mean 'every'?",
        ),
        ("monitors: {a b: {url: 'http://g.example/', x: 1}}", "c.yaml:1:44: unknown key 'x' under monitors.a b. Known:"),
        ("notify: {a: {type: slack, url: x, webhook: '${S}'}}", "c.yaml:1:27: unknown key 'url' under notify.a"),
        # names that refer to nothing
        ("monitors: {a: 'htpp://x/'}", "c.yaml:1:15: monitors.a: no check is called 'htpp'. Did you mean 'http'? Known: dns, http"),
        ("monitors: {a: {type: htp, url: 'http://x/'}}", "c.yaml:1:22: monitors.a: no check is called 'htp'. Did you mean"),
        ("monitors: {a: 'file:///etc/passwd'}", "c.yaml:1:15: monitors.a: no check is called 'file'."),
        ("monitors: {a: 'ftp://x/'}", "c.yaml:1:15: monitors.a: no check is called 'ftp'."),
        ("monitors: {a: 'data:text/html,x'}", "c.yaml:1:15: monitors.a: 'data:text/html,x' does not begin with a scheme."),
        ("monitors: {a: 'unix:/run/x'}", "c.yaml:1:15: monitors.a: 'unix:/run/x' does not begin with a scheme."),
        ('monitors: {a: "ht\\ttp://x/"}', "c.yaml:1:15: monitors.a:"),
        ("monitors: {a: 'localhost:80'}", "c.yaml:1:15: monitors.a: 'localhost:80' does not begin with a scheme."),
        ("notify: {a: {type: emial}}", "c.yaml:1:20: notify.a: no notifier is called 'emial'. Did you mean 'email'?"),
        (
            "groups: {LAYA: {}}\nmonitors: {a: {url: 'http://a.example/', group: LAYAA}}",
            "c.yaml:2:49: monitors.a: no group is called 'LAYAA'. Did you mean 'LAYA'? Known: LAYA.",
        ),
        ("site: {timezone: Berlin}", "c.yaml:1:18: site.timezone: no time zone is called 'Berlin'."),
        ("site: {timezone: ../../etc/passwd}", "c.yaml:1:18: site.timezone: no time zone is called '../../etc/passwd'."),
        ("site: {timezone: Europe}", "c.yaml:1:18: site.timezone: no time zone is called 'Europe'."),
        # what is missing
        ("monitors: {a: {}}", "c.yaml:1:12: monitors.a needs 'url'."),
        ("monitors: {a: }", "c.yaml:1:15: monitors.a: expected a URL or a mapping, got nothing."),
        ("monitors: {a: {target: 'http://x/'}}", "c.yaml:1:16: unknown key 'target' under monitors.a; did you mean 'url'?"),
        ("notify: {a: {to: x}}", "c.yaml:1:10: notify.a needs 'type'. Known: discord, email, pagerduty, slack, webhook."),
        ("notify: {a: {type: slack}}", "c.yaml:1:10: notify.a needs 'webhook'."),
        # C02: quantities, with the unit and the range
        ("defaults: {every: 5}", "c.yaml:1:19: defaults.every: the duration 5 has no unit. Write a number and its unit"),
        ("defaults: {every: '5'}", "c.yaml:1:19: defaults.every: the duration 5 has no unit."),
        ("defaults: {every: 0}", "c.yaml:1:19: defaults.every: the duration 0 has no unit."),
        ("defaults: {every: 5 mins}", "c.yaml:1:19: defaults.every: '5 mins' is not a duration."),
        ("defaults: {every: -1s}", "c.yaml:1:19: defaults.every: the duration -1s is negative."),
        ("defaults: {every: 1e9d}", "c.yaml:1:19: defaults.every: '1e9d' is not a duration."),
        ("defaults: {every: 999999999999d}", "c.yaml:1:19: defaults.every: the duration 999999999999d is out of range."),
        ("defaults: {every: 0s}", "c.yaml:1:19: defaults.every: the duration 0s is out of range."),
        ("defaults: {every: 366d}", "c.yaml:1:19: defaults.every: the duration 366d is out of range."),
        ("defaults: {every: 1.5s}", "c.yaml:1:19: defaults.every: the duration 1.5s is not in whole seconds."),
        ("defaults: {every: NaN}", "c.yaml:1:19: defaults.every: 'NaN' is not a duration."),
        ("defaults: {every: .nan}", "c.yaml:1:19: defaults.every: '.nan' is not a duration."),
        ("defaults: {every: true}", "c.yaml:1:19: defaults.every: expected a duration such as 30s, got true."),
        ("defaults: {every: [5s]}", "c.yaml:1:19: defaults.every: expected a duration such as 30s, got a list."),
        ("defaults: {every: }", "c.yaml:1:19: defaults.every: expected a duration such as 30s, got nothing. Write the value"),
        ("defaults: {timeout: 0s}", "c.yaml:1:21: defaults.timeout: the duration 0s is out of range."),
        ("defaults: {timeout: 2h}", "c.yaml:1:21: defaults.timeout: the duration 2h is out of range."),
        ("defaults: {confirm: 101}", "c.yaml:1:21: defaults.confirm: expected a whole number from 1 to 100, got the number 101."),
        ("defaults: {confirm: 1.0}", "c.yaml:1:21: defaults.confirm: expected a whole number from 1 to 100, got the number 1.0."),
        ("defaults: {confirm: true}", "c.yaml:1:21: defaults.confirm: expected a whole number from 1 to 100, got true."),
        ("log: {max_size: 10mb}", "c.yaml:1:17: log.max_size: '10mb' is not a size."),
        ("log: {max_size: 1B}", "c.yaml:1:17: log.max_size: the size 1B is out of range."),
        ("site: {name: true}", "c.yaml:1:14: site.name: expected text, got true. Put it in quotes."),
        ("site: {name: 1.10}", "c.yaml:1:14: site.name: expected text, got the number 1.1. Put it in quotes."),
        # C03: what is there twice
        ("monitors: {a: 'http://x/', a: 'http://y/'}", "c.yaml:1:28: 'a' is written twice; first on line 1."),
        (
            "monitors:\n  AI Service: http://x/\n  ai-service: http://y/\n",
            "c.yaml:3:3: monitors.ai-service: 'AI Service' on line 2 has the same id 'ai-service'.",
        ),
        (
            "monitors:\n  a: {url: 'http://x/', name: B}\n  B: http://y/\n",
            "c.yaml:3:3: monitors.B: the name 'B' is already taken on line 2.",
        ),
        ("notify:\n  A: {type: slack, webhook: '${S}'}\n  a: {type: slack, webhook: '${S}'}", "c.yaml:3:3: notify.a: 'A' on line 2"),
        ("monitors: {'!!': 'http://x/'}", "c.yaml:1:12: monitors.!!: a name needs a letter or a digit"),
        ('monitors: {"a\\nb": "http://x/"}', "c.yaml:1:12: monitors.'a\\nb': this cannot be shown as a name."),
        # C05: what contradicts itself
        (
            "monitors: {a: {url: 'http://x/', every: 10s, timeout: 10s}}",
            "c.yaml:1:55: monitors.a: the timeout 10s is not shorter than the interval 10s. Set timeout below 10s, or every",
        ),
        (
            "defaults: {timeout: 30s}\nmonitors: {a: {url: 'http://x/', every: 20s}, b: 'http://y/'}",
            "c.yaml:2:41: monitors.a: the timeout 30s is not shorter than the interval 20s (defaults.timeout, monitors.a.every).",
        ),
        (
            "defaults: {timeout: 30s}\ngroups: {g: {every: 20s}}\nmonitors: {a: {url: 'http://x/', group: g}, b: {url: 'http://y/', group: g}}",
            "c.yaml:2:21: groups.g: the timeout 30s is not shorter than the interval 20s (defaults.timeout, groups.g.every).",
        ),
        ("defaults: {timeout: 2m, every: 90s}\nmonitors: {a: 'http://x/', b: 'http://y/'}", "c.yaml:1:21: defaults: the timeout 2m"),
        # expressions, with the column of the mistake
        ("monitors: {a: {url: 'http://x/', expect: 'status = 200'}}", "c.yaml:1:50: monitors.a.expect: "),
        ("monitors: {a: {url: 'http://x/', expect: [status == 200, status = 200]}}", "c.yaml:1:65: monitors.a.expect[1]: "),
        ('monitors: {a: {url: "http://x/", expect: "text == \\"a\\" and statu == 1"}}', "c.yaml:1:42: monitors.a.expect: "),
        ("monitors:\n  a:\n    url: http://x/\n    expect: |\n      status = 200\n", "c.yaml:4:13: monitors.a.expect: "),
        ("monitors: {a: {url: 'http://x/', expect: 200}}", "c.yaml:1:42: monitors.a.expect: expected text or a list, got the number 200."),
        ("monitors: {a: {url: 'http://x/', expect: [200]}}", "c.yaml:1:43: monitors.a.expect[0]: expected an expression"),
        # the file itself
        ("- a", "c.yaml:1:1: the file must be a mapping, and is a list. Begin with monitors:."),
        ("hello", "c.yaml:1:1: the file must be a mapping, and is text 'hello'."),
        # what only the check or the notifier knows, at the place of its option
        ("monitors: {a: 'http://x:99999/'}", "c.yaml:1:15: monitors.a: the URL's port is not a number from 1 to 65535."),
        ("monitors: {a: {method: GET, url: 'http://x y/'}}", "c.yaml:1:34: monitors.a: the URL contains white space"),
        ("monitors: {a: {url: 'http://x/', headers: {'a b': c}}}", "c.yaml:1:43: monitors.a: a header's name contains"),
        ("notify: {a: {type: email, to: [x@y.example], port: 0}}", "c.yaml:1:52: notify.a: `port` must be from 1 to 65535."),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_its_remedy(complaint: Complaint, text: str, said: str) -> None:
    assert complaint(text, S="https://h.example/").startswith(said)


def test_every_mistake_is_told_at_once_in_reading_order(problems: Problems) -> None:
    found = problems(
        """
        sit: {}
        defaults: {every: 5, confirm: 0}
        monitors:
          a: {url: 'http://${NONE}/', evry: 5s}
          b: {url: htpp://b/, group: none, timeout: x}
          c: {url: http://c/, method: get, redirects: -1, headers: {X: 1}}
        notify:
          d: {type: email, to: 5, port: x, tls: ssl}
          e: {type: nothing}
        egress: {allow: [a, 10.0.0.0/8, b]}
        log: {file: 1, keep: 0}
        sit: {}
        """
    )

    assert [problem.where.removeprefix("c.yaml:") for problem in found] == [
        "2:1", "3:19", "3:31",
        "5:20", "5:31", "6:12", "6:30", "6:45", "7:31", "7:47", "7:64",
        "9:24", "9:33", "9:41", "10:13",
        "11:18", "11:33", "12:13", "12:22", "13:1",
    ]  # fmt: skip
    assert all(problem.what for problem in found)


def test_a_short_interval_keeps_the_usual_timeout(configured: Configured) -> None:
    (watched,) = configured("monitors: {a: {url: 'http://x/', every: 5s}}").monitors

    assert watched.monitor.timeout == timedelta(seconds=10)


@pytest.mark.parametrize("section", ["site", "defaults", "groups", "notify", "egress", "log", "store"])
def test_a_section_whose_lines_are_all_comments_is_as_good_as_none(configured: Configured, section: str) -> None:
    assert configured(f"monitors: {{a: 'http://x/'}}\n{section}:\n  # nothing\n").warnings == ()


def test_a_file_that_watches_nothing_is_warned_of(configured: Configured) -> None:
    (warning,) = configured("monitors:\n").warnings

    assert str(warning).startswith("c.yaml:1:1: nothing is watched yet.")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("monitors: {a: 'http://u:pw@x/'}", "c.yaml:1:15"),
        ("monitors: {a: 'http://x/?token=abc'}", "c.yaml:1:15"),
        ("monitors: {a: {url: 'http://x/', headers: {Authorization: Bearer abc}}}", "c.yaml:1:59"),
        ("monitors: {a: {url: 'http://x/', headers: {cookie: a=b}}}", "c.yaml:1:52"),
        ("monitors: {a: {url: 'http://x/', body: '{\"password\": 1}'}}", "c.yaml:1:40"),
        ("monitors: {a: 'http://x/'}\nnotify: {a: {type: slack, webhook: 'https://h.example/x'}}", "c.yaml:2:36"),
        (
            "monitors: {a: 'http://x/'}\nnotify: {a: {type: webhook, url: 'https://h.example/', secret: x}}",
            "c.yaml:2:64",
        ),
    ],
)
def test_a_secret_in_plain_sight_is_warned_of(configured: Configured, text: str, place: str) -> None:
    (warning,) = configured(text).warnings

    assert warning.where == place
    assert warning.what.endswith("is a secret in plain sight")
    assert "abc" not in str(warning)


@pytest.mark.parametrize(
    "text",
    [
        "monitors: {a: 'http://x/?page=2'}",
        "monitors: {a: {url: 'http://x/', headers: {Accept: text/html}, body: hello}}",
        "monitors: {a: {url: 'http://x/?token=${S}', headers: {Authorization: 'Bearer ${S}'}}}",
        "monitors: {a: 'http://x/'}\nnotify: {a: {type: webhook, url: 'https://h.example/', secret: '${S}'}}",
    ],
)
def test_what_is_no_secret_is_not_warned_of(configured: Configured, text: str) -> None:
    assert configured(text, S="x").warnings == ()


def test_a_file_on_disk_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(SMALLEST, "utf-8")

    found = load(file, environ={})

    assert found.source == str(file)
    assert found.monitors[0].position == f"{file}:2:3"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_file_with_a_secret_that_everybody_can_read_is_warned_of(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("monitors: {a: 'http://u:pw@x/'}\n", "utf-8")
    file.chmod(mode)

    warnings = [str(warning) for warning in load(file, environ={}).warnings]

    told = [text for text in warnings if text.startswith(f"{file}: everybody on this machine can read this file")]
    assert bool(told) is bool(mode & stat.S_IROTH)


def test_a_file_without_a_secret_may_be_read_by_everybody(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(SMALLEST, "utf-8")
    file.chmod(0o644)

    assert load(file, environ={}).warnings == ()


def test_what_cannot_be_read_is_told_with_the_cause(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "large").write_bytes(b"a: 1\n" * 3_000_000)

    for name, cause in {
        "none": "No such file or directory",
        "a": "Too many levels of symbolic links",
        ".": "Is a directory",
        "large": "the file is larger than 10 MiB",
        "x\0y": "null byte",
    }.items():
        with pytest.raises(ConfigError, match=cause):
            load(tmp_path / name, environ={})


def test_endless_files_end(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="larger than 10 MiB"):
        load("/dev/zero", environ={})


def test_a_file_is_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "xdg" / "laya-uptime"
    home.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.parent))
    monkeypatch.chdir(tmp_path)

    assert find_file(None, {}) in {None, Path("/etc/laya-uptime/config.yaml")}
    (home / "config.yaml").touch()
    assert find_file(None, {}) == home / "config.yaml"
    (tmp_path / "laya-uptime.yaml").touch()
    assert find_file(None, {}) == Path("laya-uptime.yaml")
    assert find_file(None, {"LAYA_UPTIME_CONFIG": "/named"}) == Path("/named")
    assert find_file("/given", {"LAYA_UPTIME_CONFIG": "/named"}) == Path("/given")
    assert find_file(None, {"LAYA_UPTIME_CONFIG": ""}) == Path("laya-uptime.yaml")


def test_a_hundred_mistakes_are_a_hundred_problems(problems: Problems) -> None:
    text = "monitors:\n" + "".join(f"  m{n}: {{url: 'http://x/', evry: 5s}}\n" for n in range(100))

    assert len(problems(text)) == 100


def test_aliases_share_settings_between_monitors(configured: Configured) -> None:
    found = configured(
        """
        monitors:
          a: {url: http://a/, headers: &h {Accept: "${ACCEPT}"}}
          b: {url: http://b/, headers: *h}
        """,
        ACCEPT="text/html",
    )

    assert [watched.check.headers["Accept"].reveal() for watched in found.monitors] == ["text/html"] * 2  # type: ignore[attr-defined]


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_a_pipe_can_be_a_file(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, SMALLEST.encode())
    os.close(writer)

    found = load(f"/dev/fd/{reader}", environ={})

    os.close(reader)
    assert len(found.monitors) == 3


@pytest.mark.parametrize(
    ("monitors", "written", "every"),
    [
        pytest.param(100, "", True, id="a hundred can be read"),
        pytest.param(101, "", False, id="more cannot"),
        pytest.param(101, "log: { checks: every }", True, id="unless somebody wants to"),
        pytest.param(1, "log: { checks: changes }", False, id="few, and still too many"),
    ],
)
def test_every_check_is_logged_as_long_as_somebody_could_read_it(
    configured: Configured, monitors: int, written: str, every: bool
) -> None:
    lines = "".join(f"  m{number}: http://x/\n" for number in range(monitors))

    assert configured(f"monitors:\n{lines}{written}\n").logs_every_check is every


def test_monitors_share_what_is_the_same(configured: Configured) -> None:
    one, other = configured(
        """
        monitors:
          a: { url: "http://x/a", every: 30s, confirm: 3, expect: [status == 200] }
          b: { url: "http://x/b", every: 30s, confirm: 3, expect: [status == 200] }
        """
    ).monitors

    assert one.monitor.rules is other.monitor.rules
    assert one.monitor.patience is other.monitor.patience
    assert one.monitor.every is other.monitor.every


def test_numbers_that_are_equal_and_written_otherwise_are_not_taken_for_one_another(problems: Problems) -> None:
    found = problems("monitors: {a: {url: 'http://x/', every: 1}, b: {url: 'http://x/', every: 1.0}}")

    assert [problem.what for problem in found] == [
        "monitors.a.every: the duration 1 has no unit",
        "monitors.b.every: the duration 1.0 has no unit",
    ]

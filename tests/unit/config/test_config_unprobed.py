"""Heartbeats and groups in the file: known by their key, watched in their own way, and every mistake has its place."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from laya_uptime.config.configuration import Configuration
from laya_uptime.errors import Problem
from laya_uptime.ports import Listening, RollingUp, Watched

Configured = Callable[..., Configuration]
TOKEN = "abcdefghijklmnop"


def only(configuration: Configuration) -> Watched:
    (found,) = configuration.monitors
    return found


def test_a_heartbeat_is_known_by_its_key(configured: Configured) -> None:
    each = only(configured("monitors: { nightly-backup: { heartbeat: 24h, grace: 30m } }"))

    assert isinstance(each.check, Listening)
    assert (each.check.rhythm.period, each.check.rhythm.grace) == (timedelta(days=1), timedelta(minutes=30))
    assert each.monitor.target == "heartbeat"


def test_a_heartbeat_takes_nothing_but_reminders_from_the_defaults_and_its_group(configured: Configured) -> None:
    text = """
    defaults: { every: 30s, timeout: 5s, confirm: 3, recover: 3, expect: [status == 200], remind: 7 }
    groups: { LAYA: { confirm: 4, every: 20s } }
    monitors: { job: { heartbeat: 24h, group: LAYA } }
    """

    monitor = only(configured(text)).monitor

    assert (monitor.patience.failures, monitor.patience.passes, monitor.remind_every) == (1, 1, 7)
    assert (monitor.every, monitor.rules.expect, monitor.group) == (timedelta(days=1), (), "LAYA")


def test_what_a_heartbeat_says_itself_counts(configured: Configured) -> None:
    monitor = only(configured("monitors: { job: { heartbeat: 1h, confirm: 2, prefer: latency < 5m } }")).monitor

    assert (monitor.patience.failures, len(monitor.rules.prefer)) == (2, 1)


def test_the_members_of_a_group_are_found_by_name_and_by_id(configured: Configured) -> None:
    text = """
    monitors:
      all: { members: [AI Service, gibbon-cms, inner], up_when: 50% }
      inner: { members: [AI Service] }
      AI Service: http://a.example/
      Gibbon CMS: http://b.example/
    """

    group = configured(text).monitors[0]

    assert isinstance(group.check, RollingUp)
    assert group.check.members == ["ai-service", "gibbon-cms", "inner"]
    assert group.monitor.patience.failures == 1


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("a: { members: [b] }\n  b: { members: [a] }", "2:18", "'b' is part of a circle"),
        ("a: { members: [a] }", "2:18", "'a' is part of a circle"),
        ("a: { members: [x.example] }\n  b: http://b.example/", "2:18", "no monitor is called 'x.example'"),
        ("a: { members: [b, B] }\n  b: http://b.example/", "2:21", "no monitor is called 'B'"),
        ("a: { members: [B C, b-c] }\n  B C: http://b.example/", "2:23", "'b-c' is named twice"),
        ("a: { members: [b], up_when: at least 2 }\n  b: http://b.example/", "2:31", "there are only 1 members"),
        ("a: { members: [b], timeout: 5s }\n  b: http://b.example/", "2:22", "monitors.a.timeout means nothing here"),
        ("a: { heartbeat: 1h, every: 5s }", "2:23", "monitors.a.every means nothing here"),
        ("a: { heartbeat: 0s }", "2:19", "`heartbeat` must be from 1s to 365d"),
        ("a: { heartbeat: 1h, timezone: Europe/Berlin }", "2:33", "`timezone` is for a crontab line"),
        ('a: { heartbeat: "0 0 30 2 *" }', "2:19", "neither a duration nor a crontab line"),
        (f"a: {{ heartbeat: 1h, token: {TOKEN} }}\n  b: {{ heartbeat: 1h, token: {TOKEN} }}", "3:23", "that of 'a' too"),
        ("a: { hartbeat: 1h }", "2:8", "unknown key 'hartbeat'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_is(
    problems: Callable[..., tuple[Problem, ...]], text: str, where: str, said: str
) -> None:
    (problem,) = problems(f"monitors:\n  {text}\n")

    assert (problem.where, said in problem.what) == (f"c.yaml:{where}", True), problem


def test_a_member_with_a_mistake_of_its_own_is_no_mistake_of_the_group(
    problems: Callable[..., tuple[Problem, ...]],
) -> None:
    (problem,) = problems("monitors:\n  a: { members: [b] }\n  b: htpp://b.example/\n")

    assert problem.where == "c.yaml:3:6"


def test_a_token_is_never_told(problems: Callable[..., tuple[Problem, ...]]) -> None:
    (problem,) = problems("monitors: { a: { heartbeat: 1h, token: s3cret/canary/with/slashes } }")

    assert "s3cret" not in str(problem)


@pytest.mark.parametrize(
    ("listen", "address"),
    [("0.0.0.0:80", ("0.0.0.0", 80)), ('"[::1]:8484"', ("::1", 8484)), ("127.0.0.1:0", ("127.0.0.1", 0))],
)
def test_the_listener_has_an_address_and_a_port(configured: Configured, listen: str, address: tuple[str, int]) -> None:
    assert configured(f"server: {{ listen: {listen} }}").listen == address


@pytest.mark.parametrize("listen", ["8484", "localhost:80", '"::1:80"', '"[127.0.0.1]:80"', "127.0.0.1:65536", "127.0.0.1:x", '"127.0.0.1:"'])  # fmt: skip
def test_what_is_no_address_and_port_is_refused(complaint: Callable[..., str], listen: str) -> None:
    text = f"server:\n  listen: '{listen}'\n" if listen[0] not in "'\"" else f"server:\n  listen: {listen}\n"

    assert complaint(text).startswith("c.yaml:2:11: server.listen: ")

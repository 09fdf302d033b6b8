"""What somebody may get wrong: one line for each mistake, naming its variable or flag, exit 2, and nothing begun."""

import re

import pytest

from laya_uptime.testing.program import Ended, Installation

WRONG = [
    ("AI_SERVICE_URL", "localhost:8000"),
    ("GIBBON_URL", "http://gibbon/?page=1"),
    ("PARENT_PORTAL_URL", "http://portal\nHost: evil"),
    ("CHECK_INTERVAL", "abc"),
    ("CHECK_INTERVAL", "0"),
    ("CHECK_INTERVAL", "1.5"),
    ("CHECK_INTERVAL", "٦٠"),
    ("ALERT_EMAIL", "nobody"),
    ("ALERT_EMAIL", "a@example.org\nBcc: b@example.org"),
    ("ALERT_WEBHOOK", "hooks.slack.com/services/x"),
    ("ALERT_WEBHOOK", "https://events.pagerduty.com/v2/enqueue"),
    ("ALERT_WEBHOOK_FILE", "/nowhere/webhook"),
    ("LOG_FILE", "a\nb"),
    ("SMTP_SERVER", "smtp://mail"),
    ("SMTP_PORT", "smtp"),
    ("SMTP_USER", "only-me"),
    ("SMTP_PASSWORD", "only-me"),
    ("SMTP_PASSWORD_FILE", "/nowhere/password"),
    ("ALERT_FROM_EMAIL", "nobody"),
    ("--interval", "0"),
    ("--email", "nobody"),
    ("--webhook", "nowhere"),
    ("--log-file", "a\nb"),
]


def start(laya: Installation, name: str, value: str, *words: str) -> Ended:
    """Run it with this one variable or flag."""
    if name.startswith("--"):
        return laya.run("watch", name, value, *words)
    return laya.run("watch", *words, **{name: value})


def refused(ended: Ended, *names: str) -> None:
    """Assert that it was refused in so many lines, each naming its variable or flag and a remedy."""
    assert ended.code == 2
    assert ended.out == ""
    lines = ended.err.splitlines()
    assert len(lines) == len(names), ended.err
    for line, name in zip(lines, names, strict=True):
        assert re.fullmatch(rf"laya-uptime: {name}: \S.*[.?!] \S.*[.?!]", line), line


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_bad_value_is_one_line_that_names_its_variable(laya: Installation, name: str, value: str) -> None:
    ended = start(laya, name, value)

    refused(ended, name)
    assert not laya.data.exists()
    assert not laya.log.exists()


@pytest.mark.parametrize("words", [(), ("--dry-run",)], ids=["watch", "dry run"])
def test_every_mistake_is_told_at_once(laya: Installation, words: tuple[str, ...]) -> None:
    wrong = {
        "AI_SERVICE_URL": "localhost",
        "GIBBON_URL": "",
        "PARENT_PORTAL_URL": "http://[::1",
        "CHECK_INTERVAL": "soon",
        "ALERT_EMAIL": "@",
        "ALERT_WEBHOOK": "x",
        "SMTP_SERVER": "a b",
        "SMTP_PORT": "-1",
        "SMTP_PASSWORD": "alone",
        "ALERT_FROM_EMAIL": "me",
    }

    ended = laya.run("watch", *words, **wrong)

    named = {line.split(": ")[1] for line in ended.err.splitlines()}
    assert ended.code == 2
    assert named == wrong.keys() - {"GIBBON_URL"}, "an empty variable is as good as none"
    assert len(ended.err.splitlines()) == len(named)


def test_a_flag_beats_its_variable_also_where_that_is_wrong(laya: Installation) -> None:
    ended = laya.run("watch", "--dry-run", "--interval", "5", "--email", "", "--webhook", "", CHECK_INTERVAL="abc",
                     ALERT_EMAIL="nobody", ALERT_WEBHOOK="nowhere")  # fmt: skip

    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        ("watch", "--intervall", "5"),
        ("watch", "--interval"),
        ("watch", "5"),
        ("watch", "--dry-run", "--no-alerts"),
        ("serve", "--dry-run"),
        ("wach",),
        ("check",),
        ("validate", "a.yaml", "b.yaml"),
        ("--interval", "5"),
    ],
    ids=" ".join,
)
def test_a_mistyped_command_line_is_one_line_with_a_way_on(laya: Installation, words: tuple[str, ...]) -> None:
    ended = laya.run(*words)

    assert ended.code == 2
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1
    assert ended.err.endswith("Try: laya-uptime --help\n")


def test_a_data_directory_that_cannot_be_made_is_named(laya: Installation) -> None:
    (laya.directory / "file").write_text("in the way", encoding="ascii")

    ended = laya.run("watch", LAYA_UPTIME_DATA=str(laya.directory / "file" / "data"))

    assert ended.code == 2
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1
    assert str(laya.directory / "file" / "data" / "watch") in ended.err
    assert "LAYA_UPTIME_DATA" in ended.err


def test_no_mistake_shows_what_was_written_of_a_secret(laya: Installation) -> None:
    ended = laya.run(
        "watch",
        AI_SERVICE_URL="http://u:canary-1@ho st",
        ALERT_WEBHOOK="https://hooks.example.org/canary-2/a b",
        SMTP_PASSWORD="canary-3",
        GIBBON_URL="http://u:canary-4@host:port",
    )

    assert ended.code == 2
    assert len(ended.err.splitlines()) == 4
    assert "canary" not in ended.err


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("watch", "--help"), ("--version",), ()], ids=" ".join)
def test_asking_for_help_is_no_mistake(laya: Installation, words: tuple[str, ...]) -> None:
    ended = laya.run(*words)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out

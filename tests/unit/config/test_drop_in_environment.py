"""SEED's variables and flags: what they become, and what is wrong with them."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from laya_uptime.config.environment import DropIn, from_environment
from laya_uptime.domain.monitor import HealthMode, Monitor, Patience, Rules
from laya_uptime.errors import Problem

Problems = Callable[..., tuple[Problem, ...]]
MANUAL = Path(__file__).parents[3] / "docs" / "reference" / "environment.md"
VARIABLES = (
    "AI_SERVICE_URL", "GIBBON_URL", "PARENT_PORTAL_URL", "CHECK_INTERVAL", "ALERT_EMAIL", "ALERT_WEBHOOK", "LOG_FILE",
    "SMTP_SERVER", "SMTP_PORT", "SMTP_USER", "SMTP_PASSWORD", "ALERT_FROM_EMAIL", "PAGERDUTY_ROUTING_KEY",
)  # fmt: skip


def the_channel(found: DropIn) -> Any:  # noqa: ANN401  the tests look into notifiers of every kind
    (channel,) = found.channels
    return channel


def test_nothing_set_watches_the_three_services_of_laya() -> None:
    found = from_environment({})

    assert [watched.monitor for watched in found.monitors] == [
        Monitor(
            id=id_,
            name=name,
            target=target,
            every=timedelta(seconds=60),
            timeout=timedelta(seconds=10),
            patience=Patience(failures=1, passes=1),
            rules=Rules(health=HealthMode.REQUIRED, health_in_path=True),
            remind_every=5,
            in_step=True,
        )
        for id_, name, target in (
            ("ai-service", "AI Service", "http://localhost:8000/api/v1/health/liveness"),
            ("gibbon-cms", "Gibbon CMS", "http://localhost:80/modules/System/health.php"),
            ("parent-portal", "Parent Portal", "http://localhost:3000/api/health"),
        )
    ]
    assert found == DropIn(
        monitors=found.monitors,
        channels=(),
        every=timedelta(seconds=60),
        log_file="uptime_monitoring.log",
        log_file_given=False,
    )


def test_empty_variables_are_as_good_as_none() -> None:
    assert from_environment(dict.fromkeys(VARIABLES, "")) == from_environment({})
    assert from_environment(dict.fromkeys(VARIABLES, " ")) == from_environment({})


@pytest.mark.parametrize(
    ("base", "target"),
    [
        ("https://ai.laya.example.com", "https://ai.laya.example.com/api/v1/health/liveness"),
        ("https://ai.laya.example.com/", "https://ai.laya.example.com/api/v1/health/liveness"),
        ("https://laya.example.com/ai", "https://laya.example.com/ai/api/v1/health/liveness"),
        ("https://laya.example.com/ai//", "https://laya.example.com/ai/api/v1/health/liveness"),
        ("http://[::1]:8000", "http://[::1]:8000/api/v1/health/liveness"),
        (" http://ai-service:8000 ", "http://ai-service:8000/api/v1/health/liveness"),
        ("http://user:hunter2@ai:8000", "http://ai:8000/api/v1/health/liveness"),
    ],
)
def test_a_base_url_is_joined_with_the_path_of_its_service(base: str, target: str) -> None:
    found = from_environment({"AI_SERVICE_URL": base})

    assert found.monitors[0].monitor.target == target


def test_credentials_in_a_base_url_reach_the_check_and_nobody_else() -> None:
    watched = from_environment({"GIBBON_URL": "http://user:hunter2@gibbon/"}).monitors[1]

    assert watched.check.url.reveal() == "http://user:hunter2@gibbon/modules/System/health.php"  # type: ignore[attr-defined]
    assert "hunter2" not in repr(watched)


def test_a_flag_beats_its_variable() -> None:
    environ = {
        "CHECK_INTERVAL": "nonsense",
        "ALERT_EMAIL": "nonsense",
        "ALERT_WEBHOOK": "nonsense",
        "LOG_FILE": "a.log",
    }

    found = from_environment(
        environ, interval="30", email="ops@laya.example", webhook="https://h.example/", log_file="b.log"
    )

    assert found.every == timedelta(seconds=30)
    assert {watched.monitor.every for watched in found.monitors} == {timedelta(seconds=30)}
    assert [channel.notifier.address for channel in found.channels] == ["ops@laya.example", "h.example"]
    assert (found.log_file, found.log_file_given) == ("b.log", True)


def test_an_empty_flag_turns_its_channel_off() -> None:
    environ = {"ALERT_EMAIL": "ops@laya.example", "ALERT_WEBHOOK": "https://h.example/"}

    assert from_environment(environ, email="", webhook="").channels == ()


def test_an_interval_may_come_as_a_number() -> None:
    assert from_environment({}, interval=5).every == timedelta(seconds=5)


def test_a_log_file_from_the_environment_counts_as_given() -> None:
    found = from_environment({"LOG_FILE": "/var/log/laya-uptime.log"})

    assert (found.log_file, found.log_file_given) == ("/var/log/laya-uptime.log", True)


WRONG = [
    *(("CHECK_INTERVAL", value, "is not a whole number of seconds from 1 to 31536000")
      for value in ("abc", "0", "-5", "1.5", "1e9", "31536001", "60s", "٦٠", "1" * 5000)),
    *((name, value, said)
      for name in ("AI_SERVICE_URL", "GIBBON_URL", "PARENT_PORTAL_URL")
      for value, said in (
          ("localhost:8000", "the URL must begin with http:// or https://"),
          ("//localhost", "the URL must begin with http:// or https://"),
          ("ftp://localhost", "only http:// and https:// URLs can be used"),
          ("file:///etc/passwd", "only http:// and https:// URLs can be used"),
          ("http://local host", "white space"),
          ("http://localhost\n", "white space"),
          ("http://", "host"),
          ("http://:80", "host"),
          ("http://user:hunter2@", "host"),
          ("http://localhost:99999", "port"),
          ("http://localhost:x", "port"),
          ("http://localhost?a=hunter2", "a base URL has neither ? nor #"),
          ("http://localhost/#a", "a base URL has neither ? nor #"),
      )),
    ("ALERT_EMAIL", "nobody", "which is not an e-mail address"),
    ("ALERT_EMAIL", "a@b.example, nobody", "which is not an e-mail address"),
    ("ALERT_EMAIL", "a@b.example\nBcc: c@d.example", "no line break"),
    ("ALERT_EMAIL", ",", "it"),
    ("ALERT_FROM_EMAIL", "nobody", "which is not an e-mail address"),
    ("ALERT_FROM_EMAIL", "a@b.example\r\nBcc: c@d.example", "no line break"),
    ("ALERT_WEBHOOK", "h.example/hunter2", "the URL must begin with http:// or https://"),
    ("ALERT_WEBHOOK", "ftp://h.example/hunter2", "only http:// and https:// URLs can be used"),
    ("ALERT_WEBHOOK", "https://h.example/hunter2 x", "white space"),
    ("ALERT_WEBHOOK", "https://events.pagerduty.com/v2/enqueue", "PagerDuty needs a routing key"),
    ("ALERT_WEBHOOK", "https://events.pagerduty.com/v2/enqueue?routing_key=", "PagerDuty needs a routing key"),
    ("ALERT_WEBHOOK", "https://events.pagerduty.com/v2/enqueue?routing_key=hunter2-!", "routing_key"),
    ("ALERT_WEBHOOK", "https://events.pagerduty.com/generic/2010-04-15/create_event.json", "Events API v2"),
    ("SMTP_PORT", "abc", "is not a port number from 1 to 65535"),
    ("SMTP_PORT", "0", "is not a port number from 1 to 65535"),
    ("SMTP_PORT", "70000", "is not a port number from 1 to 65535"),
    ("SMTP_SERVER", "smtp.example:587", "this is not the name of a host"),
    ("SMTP_SERVER", "smtp example", "this is not the name of a host"),
    ("SMTP_USER", "somebody", "SMTP_PASSWORD is missing"),
    ("SMTP_PASSWORD", "hunter2", "SMTP_USER is missing"),
    ("LOG_FILE", "a\nb", "the path holds a line break"),
    ("SMTP_PASSWORD_FILE", "/nowhere", "the file '/nowhere' cannot be read: No such file or directory"),
    ("SMTP_USER_FILE", "/nowhere", "the file '/nowhere' cannot be read: No such file or directory"),
    ("ALERT_WEBHOOK_FILE", "/nowhere", "the file '/nowhere' cannot be read: No such file or directory"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_a_bad_value_is_told_by_the_name_of_its_variable(
    drop_in_problems: Problems, name: str, value: str, said: str
) -> None:
    (problem,) = drop_in_problems({name: value})

    assert problem.where == name
    assert said in problem.what
    assert "hunter2" not in str(problem)
    assert "\n" not in str(problem)


def test_every_variable_is_wrong_once() -> None:
    told = {name for name, _, _ in WRONG} | {"PAGERDUTY_ROUTING_KEY"}

    assert told >= set(VARIABLES)


@pytest.mark.parametrize(
    ("flag", "value", "where"),
    [
        ("interval", 0, "--interval"),
        ("interval", "abc", "--interval"),
        ("email", "nobody", "--email"),
        ("webhook", "nowhere", "--webhook"),
        ("log_file", "a\nb", "--log-file"),
    ],
)
def test_a_bad_flag_is_told_by_its_own_name(drop_in_problems: Problems, flag: str, value: object, where: str) -> None:
    (problem,) = drop_in_problems({}, **{flag: value})

    assert problem.where == where


def test_every_bad_value_is_told_at_once(drop_in_problems: Problems) -> None:
    found = drop_in_problems(
        {
            "AI_SERVICE_URL": "x",
            "GIBBON_URL": "x",
            "PARENT_PORTAL_URL": "x",
            "CHECK_INTERVAL": "x",
            "ALERT_EMAIL": "x",
            "ALERT_WEBHOOK": "x",
            "LOG_FILE": "a\0b",
            "SMTP_SERVER": "x y",
            "SMTP_PORT": "x",
            "SMTP_USER": "x",
            "ALERT_FROM_EMAIL": "x",
        }
    )

    assert {problem.where for problem in found} == set(VARIABLES) - {"SMTP_PASSWORD", "PAGERDUTY_ROUTING_KEY"}


def test_mail_without_credentials_goes_to_a_relay_in_the_clear() -> None:
    channel = the_channel(from_environment({"ALERT_EMAIL": "ops@laya.example, head@laya.example"}))

    notifier = channel.notifier
    assert (channel.id, channel.kind, channel.title) == ("email", "email", "Email")
    assert notifier.to == ["ops@laya.example", "head@laya.example"]
    assert (notifier.server, notifier.port, notifier.sender) == ("localhost", 587, "monitoring@laya.local")
    assert (notifier.tls, notifier.user, notifier.password) == ("none", None, None)


@pytest.mark.parametrize(("port", "tls"), [("587", "starttls"), ("25", "starttls"), ("465", "implicit")])
def test_credentials_are_never_sent_in_the_clear(port: str, tls: str) -> None:
    channel = the_channel(
        from_environment(
            {
                "ALERT_EMAIL": "ops@laya.example",
                "SMTP_SERVER": "smtp.laya.example",
                "SMTP_PORT": port,
                "SMTP_USER": "u",
                "SMTP_PASSWORD": " p w ",
                "ALERT_FROM_EMAIL": "LAYA <uptime@laya.example>",
            }
        )
    )

    notifier = channel.notifier
    assert (notifier.tls, notifier.user, notifier.password.reveal()) == (tls, "u", " p w ")
    assert (notifier.server, notifier.port, notifier.sender) == (
        "smtp.laya.example",
        int(port),
        "LAYA <uptime@laya.example>",
    )


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://hooks.slack.com/services/T/B/x", "slack"),
        ("https://HOOKS.slack.com./services/T/B/x", "slack"),
        ("https://hooks.slack.com.evil.example/services/T/B/x", "webhook"),
        ("https://discord.com/api/webhooks/1/x", "discord"),
        ("https://discordapp.com/api/webhooks/1/x", "discord"),
        ("https://discord.com/api/webhooks/1/x/slack", "slack"),
        ("https://h.example/?u=https://hooks.slack.com/", "webhook"),
        ("http://localhost:9000/hook", "webhook"),
    ],
)
def test_the_host_of_a_webhook_picks_its_format(url: str, kind: str) -> None:
    channel = the_channel(from_environment({"ALERT_WEBHOOK": url}))

    assert (channel.id, channel.kind, channel.title) == ("webhook", kind, "Webhook")
    secret = channel.notifier.url if kind == "webhook" else channel.notifier.webhook
    assert secret.reveal() == url


@pytest.mark.parametrize(
    ("url", "key", "sent_to", "routing_key"),
    [
        ("https://events.pagerduty.com/v2/enqueue", "k1", "https://events.pagerduty.com/v2/enqueue", "k1"),
        ("https://events.pagerduty.com", "k1", "https://events.pagerduty.com/v2/enqueue", "k1"),
        ("https://events.eu.pagerduty.com/v2/enqueue?routing_key=k2", "", "https://events.eu.pagerduty.com/v2/enqueue", "k2"),
        ("https://events.pagerduty.com/v2/enqueue?a=b&routing_key=k2", "k1", "https://events.pagerduty.com/v2/enqueue?a=b", "k2"),
    ],
)  # fmt: skip
def test_pagerduty_s_key_comes_from_the_url_or_its_variable(url: str, key: str, sent_to: str, routing_key: str) -> None:
    channel = the_channel(from_environment({"ALERT_WEBHOOK": url, "PAGERDUTY_ROUTING_KEY": key}))

    assert (channel.id, channel.kind, channel.title) == ("webhook", "pagerduty", "Webhook")
    assert channel.notifier.url == sent_to
    assert channel.notifier.routing_key.reveal() == routing_key


def test_a_bad_routing_key_is_told_by_its_variable(drop_in_problems: Problems) -> None:
    environ = {"ALERT_WEBHOOK": "https://events.pagerduty.com", "PAGERDUTY_ROUTING_KEY": "hunter2 !"}

    (problem,) = drop_in_problems(environ)

    assert problem.where == "PAGERDUTY_ROUTING_KEY"
    assert "hunter2" not in str(problem)


def test_a_routing_key_that_nobody_asks_for_is_left_alone() -> None:
    assert from_environment({"PAGERDUTY_ROUTING_KEY": "k 1"}).channels == ()


def test_secrets_come_from_files(tmp_path: Path) -> None:
    values = {
        "SMTP_USER": "u",
        "SMTP_PASSWORD": "p",
        "ALERT_WEBHOOK": "https://events.pagerduty.com",
        "PAGERDUTY_ROUTING_KEY": "k1",
    }
    environ = {"ALERT_EMAIL": "ops@laya.example", **dict.fromkeys(values, "")}
    for name, value in values.items():
        (tmp_path / name).write_text(f"{value}\n")
        environ[f"{name}_FILE"] = str(tmp_path / name)

    email, webhook = (channel.notifier for channel in from_environment(environ).channels)

    assert (email.user, email.password.reveal()) == ("u", "p")  # type: ignore[attr-defined]
    assert webhook.routing_key.reveal() == "k1"  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["SMTP_USER", "SMTP_PASSWORD", "ALERT_WEBHOOK"])
def test_a_secret_from_two_places_is_an_error(drop_in_problems: Problems, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("x")

    (problem,) = drop_in_problems({name: "hunter2", f"{name}_FILE": str(tmp_path / "secret")})

    assert problem.what == f"{name} and {name}_FILE are both set"


def test_the_manual_names_every_variable_with_its_default() -> None:
    rows = {
        match[1]: match[2].strip().strip("`")
        for match in re.finditer(r"^\| `([A-Z_]+)` \|[^|]*\|([^|]*)\|", MANUAL.read_text("utf-8"), re.MULTILINE)
    }

    assert rows == {
        "AI_SERVICE_URL": "http://localhost:8000",
        "GIBBON_URL": "http://localhost:80",
        "PARENT_PORTAL_URL": "http://localhost:3000",
        "CHECK_INTERVAL": "60",
        "ALERT_EMAIL": "none",
        "ALERT_WEBHOOK": "none",
        "LOG_FILE": "uptime_monitoring.log",
        "SMTP_SERVER": "localhost",
        "SMTP_PORT": "587",
        "SMTP_USER": "none",
        "SMTP_PASSWORD": "none",
        "ALERT_FROM_EMAIL": "monitoring@laya.local",
        "PAGERDUTY_ROUTING_KEY": "none",
    }

"""Variables that speak over the file."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from laya_uptime.config import overrides
from laya_uptime.config.configuration import Configuration
from laya_uptime.domain.egress import EgressPolicy

Configured = Callable[..., Configuration]
Complaint = Callable[..., str]

ONE = "monitors: {a: 'http://a.example/'}\n"
MAIL = "notify: {On Call: {type: email, to: a@b.example, user: u}}\n"


def test_a_variable_speaks_over_the_file(configured: Configured) -> None:
    text = ONE + "site: {name: Old}\ndefaults: {every: 5m}\nlog: {keep: 2}\negress: {allow: 10.0.0.0/8}\n"

    found = configured(
        text,
        LAYA_UPTIME_SITE_NAME="Riverside: School",
        LAYA_UPTIME_SITE_TIMEZONE="Europe/Berlin",
        LAYA_UPTIME_DEFAULTS_EVERY="20s",
        LAYA_UPTIME_DEFAULTS_CONFIRM="3",
        LAYA_UPTIME_DEFAULTS_EXPECT='status == 200 and text contains "a, b"',
        LAYA_UPTIME_DEFAULTS_HEALTH="off",
        LAYA_UPTIME_LOG_FORMAT="json",
        LAYA_UPTIME_LOG_KEEP="7",
        LAYA_UPTIME_LOG_MAX_SIZE="1MiB",
        LAYA_UPTIME_EGRESS_ALLOW="169.254.169.254, fe80::/10",
        LAYA_UPTIME_STORE_RETENTION_RESULTS="30d",
    )

    monitor = found.monitors[0].monitor
    assert (found.site_name, found.timezone) == ("Riverside: School", ZoneInfo("Europe/Berlin"))
    assert (monitor.every, monitor.patience.failures) == (timedelta(seconds=20), 3)
    assert [one.text for one in monitor.rules.expect] == ['status == 200 and text contains "a, b"']
    assert monitor.rules.health == "off"
    assert (found.log.format, found.log.keep, found.log.max_size) == ("json", 7, 1048576)
    assert found.egress == EgressPolicy.parse(["169.254.169.254", "fe80::/10"])
    assert found.retention == timedelta(days=30)


def test_every_setting_has_its_variable() -> None:
    assert set(overrides.settings()) == {
        "LAYA_UPTIME_SITE_NAME", "LAYA_UPTIME_SITE_TIMEZONE",
        "LAYA_UPTIME_DEFAULTS_EVERY", "LAYA_UPTIME_DEFAULTS_TIMEOUT", "LAYA_UPTIME_DEFAULTS_CONFIRM",
        "LAYA_UPTIME_DEFAULTS_RECOVER", "LAYA_UPTIME_DEFAULTS_REMIND", "LAYA_UPTIME_DEFAULTS_EXPECT",
        "LAYA_UPTIME_DEFAULTS_PREFER", "LAYA_UPTIME_DEFAULTS_HEALTH", "LAYA_UPTIME_DEFAULTS_CERT_WARNING",
        "LAYA_UPTIME_EGRESS_ALLOW",
        "LAYA_UPTIME_LOG_FILE", "LAYA_UPTIME_LOG_FORMAT", "LAYA_UPTIME_LOG_MAX_SIZE", "LAYA_UPTIME_LOG_KEEP",
            "LAYA_UPTIME_LOG_CHECKS",
        "LAYA_UPTIME_STORE_RETENTION_RESULTS", "LAYA_UPTIME_SERVER_LISTEN",
    }  # fmt: skip


def test_an_empty_variable_is_as_good_as_none(configured: Configured) -> None:
    assert configured(ONE + "site: {name: Mine}\n", LAYA_UPTIME_SITE_NAME="").site_name == "Mine"


def test_a_variable_is_data(configured: Configured) -> None:
    assert configured(ONE, LAYA_UPTIME_SITE_NAME="${HOME} $$").site_name == "${HOME} $$"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LAYA_UPTIME_DEFAULTS_EVERY", "5", "LAYA_UPTIME_DEFAULTS_EVERY: defaults.every: the duration 5 has no unit."),
        (
            "LAYA_UPTIME_DEFAULTS_CONFIRM",
            "x",
            "LAYA_UPTIME_DEFAULTS_CONFIRM: defaults.confirm: expected a whole number",
        ),
        ("LAYA_UPTIME_DEFAULTS_EXPECT", "status = 1", "LAYA_UPTIME_DEFAULTS_EXPECT: defaults.expect: "),
        ("LAYA_UPTIME_LOG_FORMAT", "xml", "LAYA_UPTIME_LOG_FORMAT: log.format: expected text or json, got text 'xml'."),
        ("LAYA_UPTIME_EGRESS_ALLOW", "a,::1", "LAYA_UPTIME_EGRESS_ALLOW: egress.allow: 'a' is neither an IP address"),
        ("LAYA_UPTIME_SITE_TIMEZONE", "X/Y", "LAYA_UPTIME_SITE_TIMEZONE: site.timezone: no time zone is called 'X/Y'."),
    ],
)
def test_a_bad_variable_is_told_by_its_name(complaint: Complaint, name: str, value: str, said: str) -> None:
    assert complaint(ONE, **{name: value}).startswith(said)


def test_a_misspelt_variable_is_warned_of(configured: Configured) -> None:
    (warning,) = configured(ONE, LAYA_UPTIME_LOG_FROMAT="json").warnings

    assert str(warning) == "LAYA_UPTIME_LOG_FROMAT: this variable means nothing. Did you mean LAYA_UPTIME_LOG_FORMAT?"


@pytest.mark.parametrize(
    "name",
    ["LAYA_UPTIME_CONFIG", "LAYA_UPTIME_SERVICE_HOST", "LAYA_UPTIME_PORT_8484_TCP", "LAYA_UPTIME_LOG_SERVICE_PORT"],
)
def test_variables_of_others_are_left_alone(configured: Configured, name: str) -> None:
    assert configured(ONE, **{name: "x"}).warnings == ()


def test_a_section_that_is_no_mapping_is_told_whatever_the_variables_say(complaint: Complaint) -> None:
    assert complaint(ONE + "log: 5\n", LAYA_UPTIME_LOG_KEEP="3").startswith("c.yaml:2:6: log: expected a mapping")


@pytest.mark.parametrize("section", ["", "defaults:\n", "defaults: {}\n"])
def test_a_variable_needs_no_section_in_the_file(configured: Configured, section: str) -> None:
    assert configured(ONE + section, LAYA_UPTIME_DEFAULTS_RECOVER="9").monitors[0].monitor.patience.passes == 9


def test_a_secret_of_a_channel_comes_from_a_variable_or_a_file(configured: Configured, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from file\n")

    (one,) = configured(ONE + MAIL, LAYA_UPTIME_NOTIFY_ON_CALL_PASSWORD="from variable").channels
    (two,) = configured(ONE + MAIL, LAYA_UPTIME_NOTIFY_ON_CALL_PASSWORD_FILE=str(file)).channels

    assert one.notifier.password.reveal() == "from variable"  # type: ignore[attr-defined]
    assert two.notifier.password.reveal() == "from file"  # type: ignore[attr-defined]


def test_a_secret_that_cannot_be_had_is_told(complaint: Complaint) -> None:
    both = {"LAYA_UPTIME_NOTIFY_M_PASSWORD": "x", "LAYA_UPTIME_NOTIFY_M_PASSWORD_FILE": "/nowhere"}
    text = ONE + "notify: {m: {type: email, to: a@b.example}}\n"

    assert "are both set" in complaint(text, **both)
    assert complaint(text, LAYA_UPTIME_NOTIFY_M_PASSWORD_FILE="/nowhere").startswith(
        "LAYA_UPTIME_NOTIFY_M_PASSWORD_FILE: the file '/nowhere' cannot be read: No such file or directory."
    )

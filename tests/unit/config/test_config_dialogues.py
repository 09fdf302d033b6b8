"""A dialogue in the file: its escapes, its secrets, and what is wrong with it."""

from collections.abc import Callable
from typing import Any

import pytest

from laya_uptime.config.configuration import Configuration

SEND = "monitors: {a: {url: 'tcp://a.example:1', dialogue: [send: '%s']}}"


def sent(configuration: Configuration) -> bytes:
    (watched,) = configuration.monitors
    check: Any = watched.check
    data: bytes = check.dialogue[0].send.reveal()
    return data


@pytest.mark.parametrize(
    ("written", "data"),
    [
        (r"'PING\r\n'", b"PING\r\n"),
        (r'"PING\r\n"', b"PING\r\n"),
        (r"PING\r\n", b"PING\r\n"),
        (r"'\x04\xd2'", b"\x04\xd2"),
        (r"'$$\x24'", b"$$"),
    ],
)
def test_escapes_mean_the_same_however_they_are_quoted(
    configured: Callable[..., Configuration], written: str, data: bytes
) -> None:
    found = configured(f"monitors: {{a: {{url: 'tcp://a.example:1', dialogue: [{{send: {written}}}]}}}}")

    assert sent(found) == data
    assert found.warnings == ()


def test_what_comes_from_outside_is_data(configured: Callable[..., Configuration]) -> None:
    found = configured(SEND % r"AUTH ${PASSWORD}\r\n", PASSWORD=r"a\nb\x00 $c")

    assert sent(found) == b"AUTH a\\nb\\x00 $c\r\n"
    assert found.warnings == ()


def test_a_secret_in_plain_sight_is_warned_of(configured: Callable[..., Configuration]) -> None:
    found = configured(SEND % r"AUTH hunter2\r\n")

    (warning,) = found.warnings
    assert "monitors.a.dialogue[0].send is a secret in plain sight" in str(warning)
    assert "hunter2" not in str(warning)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("{}", "a step is exactly one of send, expect and starttls: true"),
        ("{send: x, expect: x}", "a step is exactly one of send, expect and starttls: true"),
        ("{starttls: false}", "a step is exactly one of send, expect and starttls: true"),
        ("{sned: x}", "unknown key 'sned' under monitors.a.dialogue[0]; did you mean 'send'?"),
        ("{send: 5}", "expected text, got a number"),
        (r"{send: 'hunter2\d'}", "a backslash must begin"),
        (r'{send: "hunter2\x00\xd2"}', "must stand in single quotes"),
        ("{send: ''}", "there is nothing to send"),
        ("{expect: ''}", "at least 1 characters are needed, got 0"),
        ("{expect: +OK}", "`expect` is no pattern: no argument for repetition operator +"),
    ],
)
def test_what_is_wrong_with_a_step_is_told_where_it_stands(complaint: Callable[..., str], step: str, said: str) -> None:
    told = complaint(f"monitors: {{a: {{url: 'tcp://a.example:1', dialogue: [{step}]}}}}")

    assert told.startswith("c.yaml:1:")
    assert said in told
    assert "hunter2" not in told


def test_a_dialogue_has_an_end(complaint: Callable[..., str]) -> None:
    steps = ", ".join(["{expect: x}"] * 51)

    assert "at most 50 entries are allowed, got 51" in complaint(
        f"monitors: {{a: {{url: 'tcp://a.example:1', dialogue: [{steps}]}}}}"
    )


@pytest.mark.parametrize("version", ["1.3", "'1.3'", "'${LEAST}'"])
def test_a_version_may_be_written_as_the_number_it_looks_like(
    configured: Callable[..., Configuration], version: str
) -> None:
    (watched,) = configured(
        f"monitors: {{a: {{url: 'tls://a.example', min_version: {version}}}}}", LEAST="1.3"
    ).monitors
    check: Any = watched.check

    assert check.min_version == "1.3"


def test_host_and_port_do_for_a_url(configured: Callable[..., Configuration]) -> None:
    (watched,) = configured("monitors: {a: {type: tcp, host: a.example, port: '${PORT}'}}", PORT="25").monitors

    assert watched.monitor.target == "tcp://a.example:25"

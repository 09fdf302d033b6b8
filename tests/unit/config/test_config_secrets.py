"""Values that come from outside the file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from laya_uptime.config.configuration import Configuration
from laya_uptime.errors import Problem

Configured = Callable[..., Configuration]
Problems = Callable[..., tuple[Problem, ...]]
Complaint = Callable[..., str]


def webhook(value: str) -> str:
    return f"notify:\n  pager:\n    type: webhook\n    url: https://pager.example/hook\n    secret: {value}\n"


def secret_of(configuration: Configuration) -> str:
    (channel,) = configuration.channels
    return channel.notifier.secret.reveal()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${A}", "abc"),
        ("x${A}y${A}", "xabcyabc"),
        ("${A:-other}", "abc"),
        ("${NONE:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("x${NONE:-}", "x"),
        ("$${A}", "${A}"),
        ("$$$$", "$$"),
        ("$A ^ok$", "$A ^ok$"),
        ("$$x", "$x"),
        ("${DOLLAR}", "${A} $$"),
        ('"${A}"', "abc"),
        ("'${A}'", "abc"),
        ("${NONE:-a:-b}", "a:-b"),
    ],
)
def test_a_value_is_filled_in(configured: Configured, written: str, value: str) -> None:
    found = configured(webhook(written), A="abc", EMPTY="", DOLLAR="${A} $$")

    assert secret_of(found) == value


@pytest.mark.parametrize(
    "value", ["a\nb", 'it\'s "quoted"', "x: y", "[1, 2", "# no comment", "*a", "!!python/x", "true"]
)
def test_what_comes_in_stays_data_whatever_it_looks_like(configured: Configured, value: str) -> None:
    assert secret_of(configured(webhook("${A}"), A=value)) == value


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("${NONE}", "c.yaml:5:13: the variable NONE is not set."),
        ("ab ${NONE}", "c.yaml:5:16: the variable NONE is not set."),
        ("'ab ${NONE}'", "c.yaml:5:17: the variable NONE is not set."),
        ("${EMPTY}", "c.yaml:5:13: the variable EMPTY is empty."),
        ("${A", "c.yaml:5:13: a ${ without its }."),
        ("${}", "c.yaml:5:13: ${} is not understood."),
        ("${A B}", "c.yaml:5:13: ${A B} is not understood."),
        ("${A:?}", "c.yaml:5:13: ${A:?} is not understood."),
        ("${1A}", "c.yaml:5:13: ${1A} is not understood."),
        ("${file:relative}", "c.yaml:5:13: ${file:...} needs a full path."),
        (
            "${file:/nowhere/at/all}",
            "c.yaml:5:13: the file '/nowhere/at/all' cannot be read: No such file or directory.",
        ),
        ("${cred:token}", "c.yaml:5:13: there are no credentials, so token is missing."),
        ("${cred:../token}", "c.yaml:5:13: ${cred:...} needs the name of a credential."),
        ("${cred:..}", "c.yaml:5:13: ${cred:...} needs the name of a credential."),
    ],
)
def test_what_is_missing_is_told_with_its_place(complaint: Complaint, written: str, said: str) -> None:
    found = complaint(webhook(written), A="abc", EMPTY="")

    assert found.startswith(said)
    assert len(found) > len(said), "it says what to do"


def test_everything_missing_is_told_at_once(problems: Problems) -> None:
    found = problems("monitors: {a: 'http://${A}/', b: 'http://${B}/${C}'}\n")

    assert [problem.what for problem in found] == [f"the variable {name} is not set" for name in "ABC"]


@pytest.mark.parametrize(
    ("content", "value"), [("abc\n", "abc"), ("abc", "abc"), ("a\nb\r\n", "a\nb"), ("abc\n\n", "abc\n"), (" a ", " a ")]
)
def test_a_file_gives_its_content_without_the_last_line_break(
    configured: Configured, tmp_path: Path, content: str, value: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content.encode())

    assert secret_of(configured(webhook(f"${{file:{file}}}"))) == value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff", "it is not UTF-8 text"),
        (b"x" * 1_048_577, "is larger than 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_a_secret_is_refused(
    complaint: Complaint, tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)

    assert said in complaint(webhook(f"${{file:{file}}}"))


def test_a_loop_of_links_is_told(complaint: Complaint, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")

    assert "Too many levels of symbolic links" in complaint(webhook(f"${{file:{tmp_path / 'a'}}}"))


def test_a_systemd_credential_is_read_from_its_directory(configured: Configured, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")

    assert secret_of(configured(webhook("${cred:token}"), CREDENTIALS_DIRECTORY=str(tmp_path))) == "abc"


def test_a_missing_credential_names_what_to_add_to_the_unit(complaint: Complaint, tmp_path: Path) -> None:
    found = complaint(webhook("${cred:token}"), CREDENTIALS_DIRECTORY=str(tmp_path))

    assert "LoadCredential=token:" in found


def test_keys_are_not_filled_in(complaint: Complaint) -> None:
    assert "unknown key '${A}'" in complaint("${A}: 1\n", A="monitors")


def test_a_number_may_come_from_outside(configured: Configured, complaint: Complaint) -> None:
    text = "notify: {mail: {type: email, to: a@b.example, port: '${PORT}'}}"

    (channel,) = configured(text, PORT="2525").channels

    assert channel.notifier.port == 2525  # type: ignore[attr-defined]
    assert complaint(text, PORT="hunter2").startswith(
        "c.yaml:1:53: notify.mail.port: expected a whole number, got text from '${PORT}'."
    )


def test_an_optional_value_that_is_empty_on_purpose_is_left_out(configured: Configured) -> None:
    (channel,) = configured(webhook('"${NONE:-}"')).channels

    assert channel.notifier.secret is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", ["it's", 'a" or "" == "', "a\\", "a\nb"])
def test_a_value_cannot_break_out_of_an_expression(complaint: Complaint, value: str) -> None:
    found = complaint(
        """
        monitors:
          a:
            url: http://a.example/
            expect: body.version == "${V}"
        """,
        V=value,
    )

    assert found.startswith("c.yaml:5:13: monitors.a.expect: the value for")
    assert value not in found


def test_a_plain_value_fits_into_an_expression(configured: Configured) -> None:
    found = configured("monitors: {a: {url: 'http://a.example/', expect: 'body.version == \"${V}\"'}}", V="1.2")

    assert found.monitors[0].monitor.rules.expect[0].text == 'body.version == "1.2"'


def test_a_broken_expression_with_a_value_in_it_does_not_show_the_value(complaint: Complaint) -> None:
    found = complaint("monitors: {a: {url: 'http://a.example/', expect: 'status = ${V}'}}", V="hunter2")

    assert "the expression from 'status = ${V}' cannot be used" in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    "text",
    [
        "monitors: {a: {url: 'http://a.example/', every: '${V}'}}",
        "monitors: {a: {url: 'http://a.example/', confirm: '${V}'}}",
        "monitors: {a: {url: 'http://a.example/', health: '${V}'}}",
        "monitors: {a: {url: 'http://a.example/', group: '${V}'}}",
        "monitors: {a: {url: 'http://a.example/', type: '${V}'}}",
        "monitors: {a: '${V}'}",
        "monitors: {a: 'http://u:${V}@b c/'}",
        "notify: {a: {type: '${V}'}}",
        "notify: {a: {type: slack, webhook: '${V}'}}",
        "notify: {a: {type: pagerduty, routing_key: '${V}!'}}",
        "notify: '${V}'",
        "site: {timezone: '${V}'}",
        "site: '${V}'",
        "log: {max_size: '${V}', format: '${V}', keep: '${V}'}",
        "egress: {allow: '${V}'}",
    ],
)
def test_no_complaint_repeats_what_came_from_outside(problems: Problems, text: str) -> None:
    found = problems(text, V="hunter2")

    assert found
    assert not any("hunter2" in str(problem) for problem in found)


@pytest.mark.parametrize(
    "text",
    [
        "notify: {a: {type: webhook, url: 'https://h.example', secret: 4711815}}",
        "notify: {a: {type: webhook, url: 'https://h.example', secret: 04711815}}",
        "notify: {a: {type: webhook, url: 'https://h.example', headers: {X-Token: 4711815}}}",
        "notify: {a: {type: webhook, url: 'https://u:4711815@h.example:x/'}}",
        "notify: {a: {type: webhook, url: 'https://u:4711815@h.example/', secrte: 4711815}}",
        "monitors: {a: {url: 'http://u:4711815@h.example:x/'}}",
        "monitors: {a: 'u:4711815@h.example/'}",
        "monitors: {a: 'xttp://u:4711815@h.example/'}",
        "notify: {a: {type: slack, webhook: 4711815}}",
        "notify: {a: {type: email, to: a@b.example, password: '4711815'}}",
    ],
)
def test_no_complaint_repeats_a_secret_that_stands_in_the_file(problems: Problems, text: str) -> None:
    found = problems(text)

    assert found
    assert not any("4711815" in str(problem) for problem in found)

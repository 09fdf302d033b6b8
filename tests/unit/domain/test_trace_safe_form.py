"""A line of a trace: secrets are dots, what a terminal could obey is written out, and it ends."""

import pytest

from laya_uptime.domain.trace import (
    LARGEST_PIECE,
    LONGEST_LINE,
    Confidential,
    inert,
    line,
    piece,
    scrubbed,
    shortened,
)

NOTHING = Confidential()
HUNTER = Confidential(words=frozenset({b"hunter2", b"hunter"}))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        pytest.param("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ••••••", id="a bearer token"),
        pytest.param("try basic  dXNlcjpwYXNz==", "try basic  ••••••", id="basic credentials"),
        pytest.param('Basic realm="x"', 'Basic realm="x"', id="a challenge says nothing secret"),
        pytest.param("see https://me:pass@host/x", "see https://••••••@host/x", id="userinfo"),
        pytest.param("see https://host/a@b", "see https://host/a@b", id="an at sign in a path"),
        pytest.param("?a=1&api_key=xyz&b=2", "?a=1&api_key=••••••&b=2", id="a query key"),
        pytest.param("<a href=/x?sig=abc>", "<a href=/x?sig=••••••>", id="a query key in a page"),
        pytest.param('{"password": "x\\"y", "n": "v"}', '{"password": "••••••", "n": "v"}', id="a member of JSON"),
        pytest.param('{"token": "cut off he', '{"token": "••••••', id="a member that is cut off"),
        pytest.param('{"status": "ok", "code": 3}', '{"status": "ok", "code": 3}', id="what is no secret"),
    ],
)
def test_what_announces_a_secret_is_followed_by_dots(said: str, shown: str) -> None:
    assert scrubbed(said) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        pytest.param("plain é", "plain é", id="letters"),
        pytest.param("\x1b[31m\x00\x7f\t\r", r"\x1b[31m\x00\x7f\x09\x0d", id="control characters"),
        pytest.param("a\u202eb\u2028", r"a\xe2\x80\xaeb\xe2\x80\xa8", id="direction marks and line separators"),
        pytest.param(b"\xff\xc3(".decode("utf-8", "surrogateescape"), r"\xff\xc3(", id="bytes that are no text"),
    ],
)
def test_what_is_not_printable_is_written_out(said: str, shown: str) -> None:
    assert inert(said) == shown


def test_a_word_is_hidden_wherever_it_is_and_where_it_is_cut_off() -> None:
    assert line(b"hunter2 hunter hunt", HUNTER) == "•••••• •••••• hunt"
    assert piece(b"er2 said hunt", HUNTER, size=13) == ["er2 said ••••••"]


def test_a_secret_across_the_end_of_what_is_shown_is_hidden_whole() -> None:
    data = b"x" * (LARGEST_PIECE - 3) + b"hunter2" + b"y" * 10

    shown = piece(data, HUNTER, size=len(data))

    assert "hun" not in "".join(shown)
    assert shown[-1] == f"… {len(data)} bytes in all"


def test_a_piece_is_shown_line_by_line_and_long_lines_go_on_in_the_next() -> None:
    assert piece(b"a\r\n\r\nb\n", NOTHING, size=6) == ["a", "", "b"]
    assert piece(b"\x00" * 200, NOTHING, size=200) == [
        r"\x00" * (LONGEST_LINE // 4),
        r"\x00" * (200 - LONGEST_LINE // 4),
    ]


def test_a_long_line_is_cut_and_says_how_long_it_was() -> None:
    assert shortened("x" * LONGEST_LINE, size=LONGEST_LINE) == "x" * LONGEST_LINE
    assert shortened("x" * 600, size=9000) == f"{'x' * LONGEST_LINE}… of 9000 bytes"

"""Where a pattern is found in what a peer said."""

import pytest

from laya_uptime.domain.pattern import PatternError, locator

GREETING = b"220-mail 250 x\r\n220 ready\r\n250 y"


@pytest.mark.parametrize(
    ("pattern", "begin", "end"),
    [
        ("ready", 0, 25),
        ("^250", 0, 30),  # the one in the first line begins no line
        ("^250", 10, 30),  # also where the search begins in the middle of one
        ("^220 .*\n", 0, 27),
        ("ready\r?$", 0, 26),
        (r"\A220", 1, None),
        ("(?i)READY", 0, 25),
        ("nothing", 0, None),
    ],
)
def test_lines_begin_and_end_where_they_do(pattern: str, begin: int, end: int | None) -> None:
    assert locator(pattern)(GREETING, begin) == end


@pytest.mark.parametrize("pattern", [r"\x00\xd2", "\x00\\xd2", r"\x00[\xd0-\xdf]", r"\A.\xd2"])
def test_an_escape_is_a_byte(pattern: str) -> None:
    assert locator(pattern)(b"\x00\xd2", 0) == 2


def test_text_outside_ascii_is_its_utf_8_bytes() -> None:
    assert locator("caf\u00e9 \u20ac")("un caf\u00e9 \u20ac".encode(), 0) == 12


def test_a_mistake_is_placed_in_the_pattern_as_written() -> None:
    with pytest.raises(PatternError) as refused:
        locator("ab+*")

    assert refused.value.at == 2


def test_brackets_cannot_be_left_by_those_put_around() -> None:
    with pytest.raises(PatternError):
        locator("a)|(b")

"""Bytes written as text, and what of them nobody may read later."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laya_uptime.domain.payload import LARGEST, Payload, hide, of_pieces, written
from laya_uptime.domain.secret import DOTS


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (r"PING\r\n", b"PING\r\n"),
        ("PING\r\n", b"PING\r\n"),
        (r"\x00\x00\x00\x08\x04\xd2\x16\x2f", bytes.fromhex("0000000804d2162f")),
        (r"\0\t\\r", b"\x00\t\\r"),
        ("caf\u00e9 \u20ac", "caf\u00e9 \u20ac".encode()),
        (r"\xC3\xa9", b"\xc3\xa9"),
    ],
)
def test_escapes_are_bytes_and_text_is_utf_8(text: str, data: bytes) -> None:
    assert written(text).reveal() == data


@pytest.mark.parametrize("text", ["a\\", r"\d+", r"\x1", r"\xg0", "\\\n"])
def test_a_backslash_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a backslash must begin \\r, "):
        written(text)


@pytest.mark.parametrize("text", ["\x00\x00\x00\x08\x04\u00d2\x16/", "\x80", "\u009f"])
def test_bytes_that_yaml_made_characters_of_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="single quotes"):
        written(text)


def test_nothing_and_too_much_are_refused() -> None:
    with pytest.raises(ValueError, match="there is nothing to send"):
        written("")
    with pytest.raises(ValueError, match="more than 64 KiB cannot be sent"):
        written("x" * (LARGEST + 1))
    assert len(written("x" * LARGEST).reveal()) == LARGEST


def test_what_came_from_outside_is_sent_as_it_is_and_confidential() -> None:
    payload = of_pieces([("AUTH ", False), ("a\\nb\u0080\x00", True), (r"\r\n", False)])

    assert payload.reveal() == "AUTH a\\nb\u0080\x00\r\n".encode()
    assert "a\\nb\u0080\x00".encode().strip() in payload.confidential


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (r"PING\r\n", ()),
        (r"EHLO uptime.example\r\n", ()),
        (r"STARTTLS\r\n", ()),
        (r"AUTH TLS\r\n", ()),
        (r"AUTH hunter2\r\n", (b"hunter2",)),
        (r"PASS hunter2\r\n", (b"hunter2",)),
        (r"a1 LOGIN bobby hunter2\r\n", (b"bobby", b"hunter2")),
        (r"password=hunter2", ()),  # one word; it is hidden where it comes from outside
    ],
)
def test_a_literal_that_announces_a_secret_hides_what_follows(text: str, hidden: tuple[bytes, ...]) -> None:
    assert written(text).confidential == hidden


def test_it_shows_itself_to_nobody() -> None:
    payload = written("AUTH hunter2")

    assert f"{payload} {payload!r} {[payload]}" == f"{DOTS} Payload({DOTS}) [Payload({DOTS})]"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"-ERR AUTH hunter2-abc!", f"-ERR AUTH {DOTS}!"),
        (b"hunter2-abchunter2-abc", DOTS * 2),
        (b"-ERR AUTH hunter2", f"-ERR AUTH {DOTS}"),  # cut off at the end
        (b"ter2-abc is wrong", f"{DOTS} is wrong"),  # and at the beginning
        (b"hunt", DOTS),
        (b"hun", "hun"),
        (b"nothing of it", "nothing of it"),
    ],
)
def test_a_confidential_piece_is_dots_also_where_it_is_cut(said: bytes, shown: str) -> None:
    assert hide(said, [b"hunter2-abc"]).decode() == shown


WORD = st.text(alphabet="abcd", min_size=4, max_size=8).map(str.encode)


@given(st.lists(WORD, min_size=1, max_size=3), st.lists(st.text(alphabet="abcd ", max_size=5), max_size=6))
def test_nothing_confidential_is_left(secrets: list[bytes], around: list[str]) -> None:
    said = b"".join(piece.encode() + secret for piece, secret in zip(around, secrets * 2, strict=False))

    shown = hide(said, secrets)

    assert [secret for secret in secrets if secret in shown] == []


@given(st.text(alphabet="abc\\rnx0d2 \u00e9", max_size=40))
def test_any_text_is_bytes_or_a_plain_refusal(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(written(text), Payload)

"""What was encoded comes back as it was, in any pieces, and never more than there is room for."""

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from laya_uptime.adapters.net.content import Decoder, NotDecodable, Overflow
from laya_uptime.adapters.net.document import read_body

ROOM = 1000


def squeezed(data: bytes) -> bytes:
    encoded: bytes = brotli.compress(data, quality=3)  # type: ignore[no-untyped-call]
    return encoded


def bare(data: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(data) + encoder.flush()


CODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("", bytes),
    ("identity", bytes),
    ("gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", bare),
    ("br", squeezed),
    ("zstd", zstd.compress),
    ("gzip, br", lambda data: squeezed(gzip.compress(data))),
    ("zstd, gzip", lambda data: gzip.compress(zstd.compress(data))),
]


@given(
    data=st.binary(max_size=2 * ROOM), coding=st.sampled_from(CODINGS), piece=st.integers(min_value=1, max_value=3000)
)
def test_r02_what_was_encoded_comes_back_or_overflows(
    data: bytes, coding: tuple[str, Callable[[bytes], bytes]], piece: int
) -> None:
    name, encode = coding
    encoded = encode(data)
    decoder = Decoder(name, room=ROOM)
    found = b""
    overflowed = False

    try:
        for start in range(0, len(encoded), piece):
            found += decoder.feed(encoded[start : start + piece])
    except Overflow:
        overflowed = True

    # An inner layer has no more room than the outer: what is still encoded may be larger than what comes out of it.
    if len(data) <= ROOM - 100:
        assert (found, decoder.is_complete) == (data, True)
    else:
        assert len(found) <= ROOM
        assert overflowed or found == data


@given(data=st.binary(max_size=300), name=st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, zstd"]))
def test_any_bytes_decode_or_do_not(data: bytes, name: str) -> None:
    decoder = Decoder(name, room=ROOM)

    try:
        found = decoder.feed(data)
    except (NotDecodable, Overflow):
        return

    assert len(found) <= ROOM


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress, zstd.compress, squeezed])
def test_a_cut_stream_is_not_complete(encode: Callable[[bytes], bytes]) -> None:
    name = {gzip.compress: "gzip", zlib.compress: "deflate", zstd.compress: "zstd", squeezed: "br"}[encode]
    encoded = encode(b"hello there" * 20)

    for end in range(1, len(encoded)):
        decoder = Decoder(name, room=ROOM)
        decoder.feed(encoded[:end])
        assert not decoder.is_complete, end


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_members_and_frames_are_one_body(size: int) -> None:
    for name, encode in (("gzip", gzip.compress), ("zstd", zstd.compress)):
        encoded = encode(b"one ") + encode(b"two ") + encode(b"three")
        decoder = Decoder(name, room=ROOM)

        found = b"".join(decoder.feed(encoded[start : start + size]) for start in range(0, len(encoded), size))

        assert (found, decoder.is_complete) == (b"one two three", True)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("name", "encode", "begins"), [("gzip", gzip.compress, b"\x1f"), ("zstd", zstd.compress, b"\x28")]
)
def test_padding_is_ignored_however_it_is_cut(
    name: str, encode: Callable[[bytes], bytes], begins: bytes, size: int
) -> None:
    encoded = encode(b"hello") + b"\0\0\0" + begins + b"\0" + encode(b"again")
    decoder = Decoder(name, room=ROOM)

    found = b"".join(decoder.feed(encoded[start : start + size]) for start in range(0, len(encoded), size))

    assert (found, decoder.is_complete) == (b"hello", True)


@given(
    data=st.binary(max_size=200),
    content_type=st.sampled_from(["", "application/json", "text/html; charset=gbk", ";charset="]),
)
def test_r05_any_bytes_are_a_body(data: bytes, content_type: str) -> None:
    body = read_body(data, content_type)

    assert body.size == len(data)
    body.text.encode("utf-8")


@given(st.text(alphabet='[]{}":,0123456789.eE+-truefalsn\\ud \u00fc', max_size=200))
def test_r05_any_text_is_a_document_or_has_a_fault(text: str) -> None:
    body = read_body(text.encode(), "application/json")

    assert body.is_document != (body.fault is not None)

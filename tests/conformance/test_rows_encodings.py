"""Encodings: what Content-Encoding claims, and what the bytes are; and the bombs among them."""

import gzip
import zlib
from collections.abc import Awaitable, Callable

import brotli
import pytest
from backports import zstd

from laya_uptime.domain.result import Result
from laya_uptime.testing.target import ScriptedTarget, says

Look = Callable[..., Awaitable[Result]]
Told = Callable[[Result, str], str]

MEBIBYTE = 1 << 20
ZEROS = bytes(8 * MEBIBYTE)


def bare_deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(data) + encoder.flush()


def squeezed(data: bytes) -> bytes:
    encoded: bytes = brotli.compress(data)  # type: ignore[no-untyped-call]
    return encoded


def row(name: str, body: bytes, encoding: str | None, expected: str, *, kind: str = "") -> object:
    return pytest.param(body, encoding, kind, expected, id=name)


GOOD = [
    row("gzip", gzip.compress(b"hello"), "gzip", "hello"),
    row("x-gzip in capitals", gzip.compress(b"hello"), "X-GZIP", "hello"),
    row("gzip in two members", gzip.compress(b"he") + gzip.compress(b"llo"), "gzip", "hello"),
    row("gzip with padding", gzip.compress(b"hello") + b"\0\0\0", "gzip", "hello"),
    row("deflate", zlib.compress(b"hello"), "deflate", "hello"),
    row("bare deflate", bare_deflate(b"hello"), "deflate", "hello"),
    row("br", squeezed(b"hello"), "br", "hello"),
    row("zstd", zstd.compress(b"hello"), "zstd", "hello"),
    row("gzip in br", squeezed(gzip.compress(b"hello")), "gzip, br", "hello"),
    row("identity", b"hello", "identity", "hello"),
    row("an empty body that says gzip", b"", "gzip", ""),
    row("one mebibyte", b"x" * MEBIBYTE, None, "x" * MEBIBYTE),
    row("one mebibyte in gzip", gzip.compress(b"x" * MEBIBYTE), "gzip", "x" * MEBIBYTE),
    row("Latin-1", b"caf\xe9", None, "caf\xe9", kind="text/plain; charset=iso-8859-1"),
    row("UTF-16", "caf\xe9".encode("utf-16"), None, "caf\xe9", kind="text/plain; charset=utf-16"),
    row("UTF-8 without saying so", b"caf\xc3\xa9", None, "caf\xe9"),
    row("Latin-1 without saying so", b"caf\xe9", None, "caf\xe9"),
]
FAULTS = [
    row("gzip bomb", gzip.compress(ZEROS), "gzip", "down too_large: 1 MiB"),
    row("deflate bomb", zlib.compress(ZEROS), "deflate", "down too_large: 1 MiB"),
    row("br bomb", squeezed(ZEROS), "br", "down too_large: 1 MiB"),
    row("zstd bomb", zstd.compress(ZEROS), "zstd", "down too_large: 1 MiB"),
    row("nested bomb", gzip.compress(gzip.compress(ZEROS)), "gzip, gzip", "down too_large: 1 MiB"),
    row("no gzip", b"hello", "gzip", "down body_invalid: not valid gzip"),
    row("gzip with a wrong sum", gzip.compress(b"hello")[:-8] + bytes(8), "gzip", "down body_invalid: not valid gzip"),
    row("deflate that says gzip", zlib.compress(b"hello" * 50), "gzip", "down body_invalid: not valid gzip"),
    row("no deflate", b"hello", "deflate", "down body_invalid: not valid deflate"),
    row("no br", b"\xff" * 20, "br", "down body_invalid: not valid br"),
    row("no zstd", b"hello", "zstd", "down body_invalid: not valid zstd"),
    row("cut gzip", gzip.compress(b"hello")[:-9], "gzip", "down truncated: gzip data"),
    row("gzip without its sum", gzip.compress(b"hello")[:-8], "gzip", "down truncated: gzip data"),
    row("cut deflate", zlib.compress(b"hello")[:-5], "deflate", "down truncated: deflate data"),
    row("cut zstd", zstd.compress(b"hello")[:-5], "zstd", "down truncated: zstd data"),
    row("cut br", squeezed(b"hello")[:-2], "br", "down truncated: br data"),
    row("unknown encoding", b"hello", "lzma", "down body_invalid: did not ask"),
    row("three encodings", b"hello", "gzip, br, gzip", "down body_invalid: 3 times"),
    row("a hundred gzip members", gzip.compress(b"") * 100, "gzip", "down body_invalid: too many gzip members"),
]


def answer(body: bytes, encoding: str | None, kind: str) -> bytes:
    lines = [
        "HTTP/1.1 200 OK",
        *([f"Content-Encoding: {encoding}"] if encoding else []),
        *([f"Content-Type: {kind}"] if kind else []),
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize(("body", "encoding", "kind", "expected"), GOOD)
async def test_a_sound_encoding_is_undone(
    body: bytes, encoding: str | None, kind: str, expected: str, look: Look
) -> None:
    whole = answer(body, encoding, kind)
    for pieces in (1, 3):
        cut = len(whole) // pieces + 1
        async with ScriptedTarget(says(*(whole[at : at + cut] for at in range(0, len(whole), cut)))) as target:
            result = await look(url=target.url())

        found = result.observation.evidence.body
        assert result.verdict.reason is None, result.verdict
        assert found is not None
        assert (found.text, found.fault) == (expected, None)


@pytest.mark.parametrize(("body", "encoding", "kind", "expected"), FAULTS)
async def test_r02_a_faulty_encoding_is_down_with_its_exact_reason(
    body: bytes, encoding: str | None, kind: str, expected: str, look: Look, told: Told
) -> None:
    async with ScriptedTarget(says(answer(body, encoding, kind))) as target:
        result = await look(url=target.url())

    assert told(result, expected) == expected

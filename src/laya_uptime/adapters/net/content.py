"""Undo Content-Encoding without ever holding more than the caller allows.

Each stage gives out at most what is left of its room, however much its input would unfold to, so a bomb costs no more
than an honest body. Formats: gzip and zlib (RFC 1950-1952; bare deflate too, since servers send it), Brotli (RFC 7932), zstd
(RFC 8878, with the 8 MiB window that RFC 9659 allows).
"""

import zlib
from typing import Protocol

MOST_STAGES = 2
_MOST_MEMBERS = 64  # gzip members or zstd frames; each costs a new decoder


class NotDecodable(Exception):
    """The bytes are not what Content-Encoding claims. The text says so in plain words."""


class Overflow(Exception):
    """The body unfolds to more than there is room for."""


class _Stage(Protocol):
    @property
    def is_complete(self) -> bool: ...

    def unfold(self, data: bytes, room: int) -> bytes:
        """Return what comes out, at most `room` bytes or a little more; the rest stays inside or is dropped."""
        ...


class _Zlib:
    """gzip, zlib or bare deflate. `formats` are window sizes to try in turn on the first bytes."""

    def __init__(self, name: str, *formats: int) -> None:
        self._name = name
        self._formats = list(formats)
        self._inner = zlib.decompressobj(self._formats.pop(0))
        self._first = b""
        self._members = 1
        self._is_over = False  # padding has begun: nothing after it is looked at, however the stream is cut

    @property
    def is_complete(self) -> bool:
        return self._inner.eof

    def unfold(self, data: bytes, room: int) -> bytes:
        if self._formats:
            # Whether the zlib header is there shows in the first two bytes.
            data = self._first = self._first + data
            if len(data) < 2:
                return b""
            if not _is_zlib_header(data):
                self._inner = zlib.decompressobj(self._formats[0])
            self._formats.clear()
        found = bytearray()
        try:
            while data and not self._is_over:
                if self._inner.eof:
                    if data[0] != 0x1F or self._name != "gzip":
                        self._is_over = True  # padding after the end, which everybody ignores
                        break
                    self._members += 1
                    if self._members > _MOST_MEMBERS:
                        raise NotDecodable("the body consists of too many gzip members")
                    self._inner = zlib.decompressobj(31)
                found += self._inner.decompress(data, room + 1 - len(found))
                data = self._inner.unused_data or self._inner.unconsumed_tail
                if len(found) > room:
                    raise Overflow
        except zlib.error:
            raise NotDecodable(f"the body is not valid {self._name}") from None
        return bytes(found)


class _Brotli:
    def __init__(self) -> None:
        import brotli  # noqa: PLC0415  loaded when the first such body comes

        self._error = brotli.error
        self._inner = brotli.Decompressor()

    @property
    def is_complete(self) -> bool:
        return bool(self._inner.is_finished())

    def unfold(self, data: bytes, room: int) -> bytes:
        found = bytearray()
        try:
            found += self._inner.process(data, output_buffer_limit=room + 1)
            while not self._inner.can_accept_more_data():
                if len(found) > room:
                    raise Overflow
                found += self._inner.process(b"", output_buffer_limit=room + 1 - len(found))
        except self._error:
            raise NotDecodable("the body is not valid br") from None
        if len(found) > room:
            raise Overflow
        return bytes(found)


class _Zstd:
    def __init__(self) -> None:
        try:
            from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  from Python 3.14
        except ImportError:
            from backports import zstd  # noqa: PLC0415  before

        self._error = zstd.ZstdError
        self._decoder = zstd.ZstdDecompressor
        self._options = {zstd.DecompressionParameter.window_log_max: 23}
        self._inner = self._decoder(options=self._options)
        self._frames = 1
        self._is_over = False  # as above

    @property
    def is_complete(self) -> bool:
        return bool(self._inner.eof)

    def unfold(self, data: bytes, room: int) -> bytes:
        found = bytearray()
        try:
            while not self._is_over:
                if self._inner.eof:
                    if data[:1] != b"\x28":
                        self._is_over = bool(data)
                        break
                    self._frames += 1
                    if self._frames > _MOST_MEMBERS:
                        raise NotDecodable("the body consists of too many zstd frames")
                    self._inner = self._decoder(options=self._options)
                found += self._inner.decompress(data, room + 1 - len(found))
                if len(found) > room:
                    raise Overflow
                data = self._inner.unused_data if self._inner.eof else b""
                if not data and (self._inner.eof or self._inner.needs_input):
                    break
        except self._error:
            raise NotDecodable("the body is not valid zstd") from None
        return bytes(found)


class Decoder:
    """Undo the encodings that a Content-Encoding header names, last applied first."""

    def __init__(self, encodings: str, *, room: int) -> None:
        """Read the header. Raise NotDecodable for a coding that we cannot undo, or for too many."""
        names = [name for part in encodings.lower().split(",") if (name := part.strip()) not in {"", "identity"}]
        if len(names) > MOST_STAGES:
            raise NotDecodable(f"the body is encoded {len(names)} times over")
        self._stages = [_stage(name) for name in reversed(names)]
        self._rooms = [room] * len(names)
        self._room = room
        self._fed = False
        self._names = ", ".join(names)

    @property
    def is_identity(self) -> bool:
        """Say whether there is nothing to undo."""
        return not self._stages

    def feed(self, data: bytes) -> bytes:
        """Return what comes out. Raise Overflow when it is too much, NotDecodable when it is not valid."""
        self._fed = self._fed or bool(data)
        for place, stage in enumerate(self._stages):
            data = stage.unfold(data, self._rooms[place])
            self._rooms[place] -= len(data)
            if not data:
                return b""
        if not self._stages:
            self._room -= len(data)
            if self._room < 0:
                raise Overflow
        return data

    @property
    def is_complete(self) -> bool:
        """Say whether every encoding came to its end. A body without a byte counts: servers label even those."""
        return not self._fed or all(stage.is_complete for stage in self._stages)

    @property
    def names(self) -> str:
        """Return the encodings as the header named them."""
        return self._names


def _stage(name: str) -> _Stage:
    if name in {"gzip", "x-gzip"}:
        return _Zlib("gzip", 31)
    if name in {"deflate", "x-deflate"}:
        return _Zlib("deflate", 15, -15)
    if name == "br":
        return _Brotli()
    if name == "zstd":
        return _Zstd()
    raise NotDecodable("the body has an encoding that we did not ask for")


def _is_zlib_header(data: bytes) -> bool:
    """Say whether these bytes begin a zlib stream: method 8 and a header that divides by 31 (RFC 1950 section 2.2)."""
    return data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0

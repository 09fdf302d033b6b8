"""Two thousand answers of HTTP/1: most of them sound but for one thing, some but for two, the same for the same seed.

Each part of an answer (status line, headers, framing, encoding, ending) has its sound forms and its odd ones, after the
grammar of RFC 9112 and RFC 9110 and what real servers and attackers make of it. An answer knows its oddities by name.
First every oddity comes a few times by itself, then the rest is drawn by chance.
"""

import gzip
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import brotli
from backports import zstd

COUNT = 2000
SEED = 1
ALONE = 6  # times that each oddity comes by itself

WORDS = b"All work and no play makes Jack a dull boy. "
CLEAN = (
    "Server: x",
    "Date: Mon, 23 Nov 2026 12:00:00 GMT",
    "Cache-Control: no-store",
    "X-Frame-Options: DENY",
    "Vary: *",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says to the request for `/NUMBER`, byte by byte, before it ends the stream."""

    number: int
    wire: bytes
    oddities: frozenset[str]
    is_redirect: bool = False  # has a Location: it is also looked at with redirects followed


@dataclass(slots=True)
class Draft:
    """An answer in parts. What an oddity changes, it changes here."""

    chance: random.Random
    body: bytes = b""
    before: bytes = b""  # in front of everything
    interim: bytes = b""
    version: bytes = b"HTTP/1.1"
    status: bytes = b"200"
    reason: bytes = b" OK"
    line: bytes | None = None  # the whole status line, where it is none of the usual form
    headers: list[bytes] = field(default_factory=list)
    encoding: Callable[[bytes], bytes] | None = None
    framing: str = "length"  # length, end, chunked, written
    written: bytes = b""  # the body as sent, where an oddity wrote it
    end_of_line: bytes = b"\r\n"
    after: bytes = b""
    cut: float | None = None  # the share of the whole that is sent
    cut_tail: int = 0  # bytes that are not sent at the end
    is_redirect: bool = False
    finishing: list[Callable[[bytes], bytes]] = field(default_factory=list)

    @property
    def encoded(self) -> bytes:
        return self.body if self.encoding is None else self.encoding(self.body)

    def chunks(self, data: bytes | None = None) -> Iterator[bytes]:
        """Yield the encoded body in one to three pieces, none of them empty."""
        data = self.encoded if data is None else data
        places = sorted(self.chance.sample(range(1, len(data)), min(self.chance.randint(0, 2), max(len(data) - 1, 0))))
        for start, end in zip([0, *places], [*places, len(data)], strict=True):
            if data[start:end]:
                yield data[start:end]

    def wire(self) -> bytes:
        headers = list(self.headers)
        body = self.written
        if self.framing == "length":
            body = self.encoded
            headers.append(b"Content-Length: %d" % len(body))
        elif self.framing == "end":
            body = self.encoded
        elif self.framing == "chunked":
            headers.append(b"Transfer-Encoding: chunked")
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in self.chunks()) + b"0\r\n\r\n"
        line = self.version + b" " + self.status + self.reason if self.line is None else self.line
        head = self.end_of_line.join([line, *headers, b"", b""])
        whole = self.before + self.interim + head + body + self.after
        for finish in self.finishing:
            whole = finish(whole)
        if self.cut is not None:
            whole = whole[: 1 + int(self.cut * (len(whole) - 2))]
        return whole[: len(whole) - self.cut_tail]


Change = Callable[[Draft], None]
ODDITIES: dict[str, tuple[str, Change]] = {}  # by name: the part of the answer that it touches, and how


def oddity(part: str, name: str, change: Change) -> None:
    assert name not in ODDITIES, name
    ODDITIES[name] = part, change


def setting(**values: object) -> Change:
    def change(draft: Draft) -> None:
        for name, value in values.items():
            setattr(draft, name, value)

    return change


def both(first: Change, second: Change) -> Change:
    def change(draft: Draft) -> None:
        first(draft)
        second(draft)

    return change


def header(*lines: bytes) -> Change:
    def change(draft: Draft) -> None:
        place = draft.chance.randint(0, len(draft.headers))
        draft.headers[place:place] = lines

    return change


def written(body: Callable[[Draft], bytes], *lines: bytes) -> Change:
    """Frame the body by hand."""

    def change(draft: Draft) -> None:
        draft.framing = "written"
        draft.headers += lines
        draft.written = body(draft)

    return change


def length(text: bytes, *, body: Callable[[Draft], bytes] = lambda draft: draft.encoded) -> Change:
    """Announce this length; %d stands for the true one."""

    def change(draft: Draft) -> None:
        draft.framing = "written"
        draft.written = body(draft)
        number = len(draft.encoded)
        draft.headers += [
            line.replace(b"%d", b"%d" % number).replace(b"%x", b"%d" % (number + 3)) for line in text.split(b"|")
        ]

    return change


def chunked(piece: bytes, *, last: bytes = b"0\r\n\r\n") -> Change:
    """Send every chunk in this form: %x its size, %s its bytes."""

    def change(draft: Draft) -> None:
        draft.framing = "written"
        draft.headers.append(b"Transfer-Encoding: chunked")
        draft.written = b"".join(
            piece.replace(b"%x", b"%x" % len(data)).replace(b"%X", b"%X" % len(data)).replace(b"%s", data)
            for data in draft.chunks()
        )
        draft.written += last

    return change


def coding(lines: bytes) -> Change:
    """Send sound chunks under these header lines."""

    def change(draft: Draft) -> None:
        draft.framing = "written"
        draft.headers += lines.replace(b"%d", b"%d" % len(draft.encoded)).split(b"|")
        draft.written = b"".join(b"%x\r\n%s\r\n" % (len(data), data) for data in draft.chunks()) + b"0\r\n\r\n"

    return change


def encoded(how: Callable[[bytes], bytes], *lines: bytes) -> Change:
    def change(draft: Draft) -> None:
        draft.encoding = how
        draft.headers += lines

    return change


def to(location: bytes, *codes: bytes) -> Change:
    def change(draft: Draft) -> None:
        draft.status = draft.chance.choice(codes or (b"301", b"302", b"303", b"307", b"308"))
        draft.reason = b" Moved"
        draft.headers.append(b"Location: " + location)
        draft.is_redirect = True

    return change


def squeezed(data: bytes) -> bytes:
    result: bytes = brotli.compress(data)  # type: ignore[no-untyped-call]
    return result


def bare_deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(data) + encoder.flush()


def in_two(data: bytes) -> bytes:
    return gzip.compress(data[:5], mtime=0) + gzip.compress(data[5:], mtime=0)


def zipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def wrong_sum(data: bytes) -> bytes:
    whole = zipped(data)
    return whole[:-8] + bytes([whole[-8] ^ 0xFF]) + whole[-7:]


# The status line, RFC 9112 section 4.
for _name, _line in {
    "no reason phrase": b"HTTP/1.1 200",
    "two spaces in the status line": b"HTTP/1.1  200 OK",
    "tab in the status line": b"HTTP/1.1\t200\tOK",
    "space before the status line": b" HTTP/1.1 200 OK",
    "lower-case version": b"http/1.1 200 OK",
    "version 1.2": b"HTTP/1.2 200 OK",
    "version 1.10": b"HTTP/1.10 200 OK",
    "version 2.0": b"HTTP/2.0 200 OK",
    "version 3.0": b"HTTP/3.0 200 OK",
    "version 0.9": b"HTTP/0.9 200 OK",
    "no version": b"HTTP 200 OK",
    "half a version": b"HTTP/1 200 OK",
    "another name": b"ICY 200 OK",
    "no status line": b"<html>",
    "two digits": b"HTTP/1.1 20 OK",
    "four digits": b"HTTP/1.1 2000 OK",
    "letters for a status": b"HTTP/1.1 abc OK",
    "sign before the status": b"HTTP/1.1 +200 OK",
    "negative status": b"HTTP/1.1 -200 OK",
    "no status": b"HTTP/1.1 OK",
    "status 000": b"HTTP/1.1 000 OK",
    "status 099": b"HTTP/1.1 099 OK",
    "status and phrase in one": b"HTTP/1.1 200OK",
    "NUL in the phrase": b"HTTP/1.1 200 O\x00K",
    "CR in the phrase": b"HTTP/1.1 200 O\rK",
    "long phrase": b"HTTP/1.1 200 " + b"y" * 3000,
    "endless phrase": b"HTTP/1.1 200 " + b"y" * 200_000,
}.items():
    oddity("line", _name, setting(line=_line))
for _name, _status in {"status 600": b"600", "status 999": b"999"}.items():
    oddity("line", _name, setting(status=_status))
oddity("line", "phrase outside ASCII", setting(reason=b" D\xe9j\xe0 vu"))
oddity("line", "empty phrase", setting(reason=b" "))
oddity("line", "HTTP/1.0", setting(version=b"HTTP/1.0"))
oddity("line", "101 unasked", setting(line=b"HTTP/1.1 101 Switching Protocols", framing="end"))

# What comes before, RFC 9112 section 2.2 and RFC 9110 section 15.2.
oddity("before", "empty line before", setting(before=b"\r\n"))
oddity("before", "rubbish before", setting(before=b"rubbish\r\n"))
oddity("before", "byte order mark before", setting(before=b"\xef\xbb\xbf"))
oddity("before", "NUL before", setting(before=b"\x00"))
oddity("before", "100 before", setting(interim=b"HTTP/1.1 100 Continue\r\n\r\n"))
oddity("before", "103 before", setting(interim=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"))
oddity("before", "102 before", setting(interim=b"HTTP/1.1 102 Processing\r\n\r\n" * 3))
oddity("before", "100 with a length before", setting(interim=b"HTTP/1.1 100 Continue\r\nContent-Length: 4\r\n\r\n"))
oddity("before", "twenty times 100 before", setting(interim=b"HTTP/1.1 100 Continue\r\n\r\n" * 20))
oddity(
    "before",
    "100 and nothing more",
    setting(interim=b"HTTP/1.1 100 Continue\r\n\r\n", finishing=[lambda data: data[:25]]),
)

# Line ends, RFC 9112 section 2.2.
oddity("ends", "bare LF", setting(end_of_line=b"\n"))
oddity("ends", "bare CR", setting(end_of_line=b"\r"))
oddity("ends", "CR CR LF", setting(end_of_line=b"\r\r\n"))

# Headers, RFC 9112 section 5 and RFC 9110 section 5.5.
for _name, _lines in {
    "folded": (b"X-A: one\r\n two",),
    "folded by a tab": (b"X-A: one\r\n\ttwo",),
    "space before the colon": (b"X-A : one",),
    "no colon": (b"X-A one",),
    "no name": (b": one",),
    "space in a name": (b"X A: one",),
    "NUL in a name": (b"X\x00A: one",),
    "NUL in a value": (b"X-A: o\x00ne",),
    "CR in a value": (b"X-A: o\rne",),
    "control character in a value": (b"X-A: o\x01ne",),
    "separator in a name": (b"X@A(): one",),
    "name outside ASCII": (b"X-\xc3\xa9: one",),
    "value outside ASCII": (b"X-A: \xff\xc3\xa9",),
    "empty value": (b"X-A:",),
    "no space after the colon": (b"X-A:one",),
    "tab after the colon": (b"X-A:\tone\t",),
    "the same header twice": (b"X-A: one", b"x-a: two"),
    "long header": (b"X-A: " + b"y" * 20_000,),
    "endless header": (b"X-A: " + b"y" * 200_000,),
    "ninety headers": tuple(b"X-%d: one" % n for n in range(90)),
    "two hundred headers": tuple(b"X-%d: one" % n for n in range(200)),
    "four hundred headers": tuple(b"X-%d: one" % n for n in range(400)),
    "upgrade offered": (b"Connection: Upgrade", b"Upgrade: h2c"),
}.items():
    oddity("headers", _name, header(*_lines))
oddity("headers", "folded first", lambda draft: draft.headers.insert(0, b" folded"))

# Framing, RFC 9112 section 6.
oddity("framing", "until the end", setting(framing="end"))
oddity("framing", "chunked", setting(framing="chunked"))
for _name, _length in {
    "equal lengths": b"Content-Length: %d|Content-Length: %d",
    "equal lengths in one": b"Content-Length: %d, %d",
    "unequal lengths": b"Content-Length: %d|Content-Length: %x",
    "unequal lengths in one": b"Content-Length: %d, %x",
    "signed length": b"Content-Length: +%d",
    "negative length": b"Content-Length: -%d",
    "length with zeros": b"Content-Length: 000%d",
    "length with spaces": b"Content-Length:   %d  ",
    "hexadecimal length": b"Content-Length: 0x%d",
    "length with a fraction": b"Content-Length: %d.0",
    "length with rubbish": b"Content-Length: %dx",
    "length with a space inside": b"Content-Length: %d 0",
    "length with an underscore": b"Content-Length: %d_0",
    "empty length": b"Content-Length:",
    "length in words": b"Content-Length: many",
    "length of 30 digits": b"Content-Length: " + b"9" * 30,
    "length beyond 64 bits": b"Content-Length: 18446744073709551621",
    "length of 2 to the 62": b"Content-Length: 4611686018427387904",
}.items():
    oddity("framing", _name, length(_length))
oddity("framing", "length too long", length(b"Content-Length: %x"))
oddity("framing", "length zero and a body", length(b"Content-Length: 0"))
oddity("framing", "more than announced", length(b"Content-Length: %d", body=lambda draft: draft.encoded + b"and more"))
for _name, _coding in {
    "chunked in capitals": b"Transfer-Encoding: CHUNKED",
    "chunked twice": b"Transfer-Encoding: chunked, chunked",
    "chunked in two headers": b"Transfer-Encoding: chunked|Transfer-Encoding: chunked",
    "chunked and another coding": b"Transfer-Encoding: foo, chunked",
    "chunked not last": b"Transfer-Encoding: chunked, foo",
    "identity before chunked": b"Transfer-Encoding: identity, chunked",
    "identity by name": b"Transfer-Encoding: identity",
    "unknown coding": b"Transfer-Encoding: xchunked",
    "chunked with a parameter": b"Transfer-Encoding: chunked;q=1",
    "chunked after a vertical tab": b"Transfer-Encoding: \x0bchunked",
    "chunked with a comma": b"Transfer-Encoding: chunked,",
    "empty coding": b"Transfer-Encoding:",
    "chunked behind a space": b"Transfer-Encoding : chunked",
    "length and chunks": b"Content-Length: %d|Transfer-Encoding: chunked",
    "chunks and length": b"Transfer-Encoding: chunked|Content-Length: 3",
}.items():
    oddity("framing", _name, coding(_coding))
for _name, _piece, _last in (
    ("chunk size in capitals", b"%X\r\n%s\r\n", b"0\r\n\r\n"),
    ("chunk size with zeros", b"000%x\r\n%s\r\n", b"0000\r\n\r\n"),
    ("chunk extension", b"%x;a=b\r\n%s\r\n", b"0;c\r\n\r\n"),
    ("quoted chunk extension", b'%x;a="b;c"\r\n%s\r\n', b"0\r\n\r\n"),
    ("LF in a chunk extension", b"%x;a=\nb\r\n%s\r\n", b"0\r\n\r\n"),
    ("NUL in a chunk extension", b"%x;a\x00b\r\n%s\r\n", b"0\r\n\r\n"),
    ("space after the chunk size", b"%x \r\n%s\r\n", b"0\r\n\r\n"),
    ("space before the chunk size", b" %x\r\n%s\r\n", b"0\r\n\r\n"),
    ("0x before the chunk size", b"0x%x\r\n%s\r\n", b"0\r\n\r\n"),
    ("plus before the chunk size", b"+%x\r\n%s\r\n", b"0\r\n\r\n"),
    ("minus before the chunk size", b"-%x\r\n%s\r\n", b"0\r\n\r\n"),
    ("no chunk size", b"\r\n%s\r\n", b"0\r\n\r\n"),
    ("words for a chunk size", b"zz\r\n%s\r\n", b"0\r\n\r\n"),
    ("rubbish after the chunk size", b"%xzz\r\n%s\r\n", b"0\r\n\r\n"),
    ("underscore in the chunk size", b"0_%x\r\n%s\r\n", b"0\r\n\r\n"),
    ("chunk size of 17 digits", b"FFFFFFFFFFFFFFFFF\r\n%s\r\n", b"0\r\n\r\n"),
    ("chunk size beyond 64 bits", b"1000000000000000%x\r\n%s\r\n", b"0\r\n\r\n"),
    ("chunks ended by LF", b"%x\n%s\n", b"0\n\n"),
    ("chunk data without its end", b"%x\r\n%s", b"0\r\n\r\n"),
    ("chunk longer than its size", b"%x\r\n%sX\r\n", b"0\r\n\r\n"),
    ("no last chunk", b"%x\r\n%s\r\n", b""),
    ("last chunk without its empty line", b"%x\r\n%s\r\n", b"0\r\n"),
    ("last chunk cut", b"%x\r\n%s\r\n", b"0"),
    ("trailers", b"%x\r\n%s\r\n", b"0\r\nX-T: one\r\nX-U: two\r\n\r\n"),
    ("trailer with a length", b"%x\r\n%s\r\n", b"0\r\nContent-Length: 3\r\n\r\n"),
    ("bad trailer", b"%x\r\n%s\r\n", b"0\r\nno colon\r\n\r\n"),
    ("folded trailer", b"%x\r\n%s\r\n", b"0\r\nX-T: one\r\n two\r\n\r\n"),
    ("trailers cut", b"%x\r\n%s\r\n", b"0\r\nX-T: o"),
    ("four hundred trailers", b"%x\r\n%s\r\n", b"0\r\n" + b"X-T: one\r\n" * 400 + b"\r\n"),
    ("more after the last chunk", b"%x\r\n%s\r\n", b"0\r\n\r\nand more"),
    ("chunk extension of 20 KiB", b"%x;" + b"y" * 20_000 + b"\r\n%s\r\n", b"0\r\n\r\n"),
):
    oddity("framing", _name, chunked(_piece, last=_last))
oddity("framing", "HTTP/1.0 in chunks", setting(version=b"HTTP/1.0", framing="chunked"))
oddity("framing", "204 with a body", both(setting(status=b"204"), length(b"Content-Length: %d")))
oddity("framing", "304 with a body", both(setting(status=b"304"), length(b"Content-Length: %d")))
oddity("framing", "204 in chunks", setting(status=b"204", framing="chunked"))
oddity("framing", "205 with a body", setting(status=b"205"))

# Encodings, RFC 9110 section 8.4, RFC 1950 to 1952, RFC 7932, RFC 8878.
for _name, _how, _lines in (
    ("gzip", zipped, (b"Content-Encoding: gzip",)),
    ("gzip in capitals", zipped, (b"Content-Encoding: GZIP",)),
    ("x-gzip", zipped, (b"Content-Encoding: x-gzip",)),
    ("deflate", zlib.compress, (b"Content-Encoding: deflate",)),
    ("bare deflate", bare_deflate, (b"Content-Encoding: deflate",)),
    ("br", squeezed, (b"Content-Encoding: br",)),
    ("zstd", zstd.compress, (b"Content-Encoding: zstd",)),
    ("identity", bytes, (b"Content-Encoding: identity",)),
    ("empty encoding", bytes, (b"Content-Encoding:",)),
    ("gzip and identity", zipped, (b"Content-Encoding: gzip, identity",)),
    ("gzip in br", lambda data: squeezed(zipped(data)), (b"Content-Encoding: gzip, br",)),
    ("gzip in gzip in two headers", lambda data: zipped(zipped(data)), (b"Content-Encoding: gzip",) * 2),
    ("three encodings", lambda data: zipped(zipped(zipped(data))), (b"Content-Encoding: gzip, gzip, gzip",)),
    ("gzip in two members", in_two, (b"Content-Encoding: gzip",)),
    ("gzip with zeros behind", lambda data: zipped(data) + bytes(8), (b"Content-Encoding: gzip",)),
    ("gzip with rubbish behind", lambda data: zipped(data) + b"rubbish", (b"Content-Encoding: gzip",)),
    ("deflate with rubbish behind", lambda data: zlib.compress(data) + b"rubbish", (b"Content-Encoding: deflate",)),
    ("gzip with a wrong sum", wrong_sum, (b"Content-Encoding: gzip",)),
    ("gzip without its sum", lambda data: zipped(data)[:-8], (b"Content-Encoding: gzip",)),
    ("cut gzip", lambda data: zipped(data)[:-12], (b"Content-Encoding: gzip",)),
    ("cut deflate", lambda data: zlib.compress(data)[:-7], (b"Content-Encoding: deflate",)),
    ("cut br", lambda data: squeezed(data)[:-3], (b"Content-Encoding: br",)),
    ("cut zstd", lambda data: zstd.compress(data)[:-3], (b"Content-Encoding: zstd",)),
    ("no gzip", bytes, (b"Content-Encoding: gzip",)),
    ("no deflate", bytes, (b"Content-Encoding: deflate",)),
    ("no br", lambda data: b"\xff" * 20 + data, (b"Content-Encoding: br",)),
    ("no zstd", bytes, (b"Content-Encoding: zstd",)),
    ("gzip that says deflate", zipped, (b"Content-Encoding: deflate",)),
    ("gzip that says nothing", zipped, ()),
    ("unknown encoding", bytes, (b"Content-Encoding: foo",)),
    ("compress", bytes, (b"Content-Encoding: compress",)),
    ("gzip of nothing", lambda _: b"", (b"Content-Encoding: gzip",)),
):
    oddity("encoding", _name, encoded(_how, *_lines))

# Endings.
oddity("ending", "another answer behind", setting(after=b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"))
oddity("ending", "empty lines behind", setting(after=b"\r\n\r\n"))
oddity("ending", "cut anywhere", lambda draft: setattr(draft, "cut", draft.chance.random()))
oddity("ending", "cut by one byte", setting(cut_tail=1))
oddity("ending", "nothing at all", setting(finishing=[lambda _: b""]))

# Bodies.
oddity("body", "empty body", setting(body=b""))
oddity("body", "NULs in the body", setting(body=b"a\x00b\x00\x00c"))
oddity("body", "not UTF-8", setting(body=b"caf\xe9 \xff\xfe"))
oddity("body", "a body like an answer", setting(body=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
oddity("body", "a large body", setting(body=WORDS * 2000))
oddity("body", "a body above the limit", setting(body=bytes(1_100_000)))

# Redirects, RFC 9110 section 15.4 and RFC 3986.
for _name, _location in {
    "to a path": b"/final",
    "to a relative path": b"final",
    "to a whole address": b"http://127.0.0.1:%PORT/final",
    "to an address without scheme": b"//127.0.0.1:%PORT/final",
    "to a query": b"?final",
    "with a fragment": b"/final#part",
    "to dots": b"/a/../final",
    "with spaces around": b"  /final  ",
    "with a space inside": b"/final?a b",
    "outside ASCII": b"/final?\xc3\xa9",
    "in Latin-1": b"/final?\xe9",
    "in a loop": b"/loop",
    "without end": b"/further",
    "empty location": b"",
    "to another scheme": b"ftp://127.0.0.1:%PORT/final",
    "to a file": b"file:///etc/hostname",
    "to data": b"data:text/plain,hi",
    "to a scheme in capitals": b"HTTP://127.0.0.1:%PORT/final",
    "to the metadata service": b"http://169.254.169.254:%PORT/",
    "with a backslash": b"/\\final",
    "to no port": b"http://127.0.0.1:99999/final",
    "to an address in decimal": b"http://2130706433:%PORT/final",
    "with credentials": b"http://user:pass@127.0.0.1:%PORT/final",
    "to a tab": b"/fi\tnal",
}.items():
    oddity("location", _name, to(_location))
oddity("location", "to two places", both(to(b"/final"), lambda draft: draft.headers.append(b"Location: /other")))
for _code in (300, 304, 306):
    oddity("location", f"{_code} with a location", to(b"/final", b"%d" % _code))
oddity("location", "no location", setting(status=b"302", reason=b" Found"))

SOUND = [
    b"200",
    b"200",
    b"200",
    b"201",
    b"203",
    b"206",
    b"400",
    b"404",
    b"410",
    b"418",
    b"429",
    b"500",
    b"502",
    b"503",
    b"599",
]


def sound(chance: random.Random) -> Draft:
    """Return an answer with nothing odd about it."""
    body = WORDS * chance.randint(1, 12)
    draft = Draft(chance, body=body[: chance.randint(20, len(body))], status=chance.choice(SOUND))
    draft.headers = [line.encode() for line in chance.sample(CLEAN, chance.randint(0, len(CLEAN)))]
    draft.headers.append(b"Connection: close")
    draft.headers.append(
        chance.choice([b"Content-Type: text/plain", b"Content-Type: text/html", b"content-type:text/plain"])
    )
    return draft


_ORDER = ("body", "encoding", "headers", "line", "location", "before", "ends", "framing", "ending")


def generate(*, count: int = COUNT, seed: int = SEED) -> list[Answer]:
    """Return the answers, the same ones for the same arguments."""
    chance = random.Random(seed)
    names = [name for name in ODDITIES for _ in range(ALONE)][:count]
    choices: list[list[str]] = [[name] for name in names]
    by_chance = list(ODDITIES)
    while len(choices) < count:
        chosen = chance.sample(by_chance, chance.choice([0, 1, 2, 2]))
        if len({ODDITIES[name][0] for name in chosen}) == len(chosen):  # two of one part would undo each other
            choices.append(chosen)
    return [_made(number, chosen, chance) for number, chosen in enumerate(choices)]


def _made(number: int, chosen: list[str], chance: random.Random) -> Answer:
    draft = sound(chance)
    if chance.random() < 0.3:
        draft.framing = chance.choice(["end", "chunked"])
    for name in sorted(chosen, key=lambda name: _ORDER.index(ODDITIES[name][0])):
        ODDITIES[name][1](draft)
    return Answer(number, draft.wire(), frozenset(chosen), draft.is_redirect)


def at_port(answer: Answer, port: int) -> Answer:
    """Return the answer with the server's port in its Location. The length of the head is nobody's business."""
    return replace(answer, wire=answer.wire.replace(b"%PORT", b"%d" % port))

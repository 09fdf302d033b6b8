"""The key and the signature of a certificate, read from its DER form (X.690; RFC 5280 section 4.1).

The standard library does not tell them, and a library that does brings a second OpenSSL of some ten megabytes into a
process that checks certificates all day. Whatever cannot be read is told as unknown, never as weak.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_SEQUENCE, _BITS, _OBJECT = 0x30, 0x03, 0x06
_VERSION = _DIGEST_OF_PSS = 0xA0

_RSA = frozenset({"1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10"})
_EC = "1.2.840.10045.2.1"
_EDWARDS = {"1.3.101.112": "Ed25519", "1.3.101.113": "Ed448"}
_PSS = "1.2.840.113549.1.1.10"

# RFC 8017 appendix C, RFC 5758, RFC 3279; the last two are OIW's, which old software wrote.
_SIGNATURES = {
    "1.2.840.113549.1.1.2": "MD2",
    "1.2.840.113549.1.1.4": "MD5",
    "1.2.840.113549.1.1.5": "SHA-1",
    "1.2.840.113549.1.1.11": "SHA-256",
    "1.2.840.113549.1.1.12": "SHA-384",
    "1.2.840.113549.1.1.13": "SHA-512",
    "1.2.840.113549.1.1.14": "SHA-224",
    "1.2.840.10045.4.1": "SHA-1",
    "1.2.840.10045.4.3.1": "SHA-224",
    "1.2.840.10045.4.3.2": "SHA-256",
    "1.2.840.10045.4.3.3": "SHA-384",
    "1.2.840.10045.4.3.4": "SHA-512",
    "1.2.840.10040.4.3": "SHA-1",
    "2.16.840.1.101.3.4.3.2": "SHA-256",
    "1.3.14.3.2.3": "MD5",
    "1.3.14.3.2.29": "SHA-1",
}
_DIGESTS = {
    "1.3.14.3.2.26": "SHA-1",
    "2.16.840.1.101.3.4.2.1": "SHA-256",
    "2.16.840.1.101.3.4.2.2": "SHA-384",
    "2.16.840.1.101.3.4.2.3": "SHA-512",
    "2.16.840.1.101.3.4.2.4": "SHA-224",
}


@dataclass(frozen=True, slots=True)
class Strength:
    """What `domain.result.Certificate` says by the same names. Empty or None: it could not be told."""

    key: str = ""
    bits: int | None = None
    digest: str = ""


def strength(certificate: bytes) -> Strength:
    """Return how strong the key and the signature of a certificate are. Never raises."""
    try:
        to_be_signed, algorithm, *_ = _inside(_only(certificate, _SEQUENCE))
        fields = [field for field in _inside(to_be_signed[1]) if field[0] != _VERSION]
        key, bits = _key(fields[5][1])  # after serial, signature, issuer, validity and subject
        return Strength(key, bits, _digest(algorithm[1]))
    except (IndexError, ValueError):
        return Strength()


def _key(info: bytes) -> tuple[str, int | None]:
    algorithm, (tag, value), *_ = _inside(info)
    kind = _name(_first(algorithm[1]))
    if tag != _BITS:
        raise ValueError("a key must be a bit string")
    if kind in _RSA:
        modulus = _first(_only(value[1:], _SEQUENCE))
        return "RSA", int.from_bytes(modulus[1], "big").bit_length()
    if kind == _EC:
        point = value[1:]  # SEC 1 section 2.3.3: 04 x y, or 02 x or 03 x
        size = (len(point) - 1) // 2 if point[0] == 4 else len(point) - 1
        return "EC", 521 if size == 66 else size * 8
    return _EDWARDS.get(kind, ""), None


def _digest(algorithm: bytes) -> str:
    name, *parameters = _inside(algorithm)
    kind = _name(name)
    if kind != _PSS:
        return _SIGNATURES.get(kind, "")
    for tag, value in _inside(parameters[0][1]) if parameters else ():
        if tag == _DIGEST_OF_PSS:
            return _DIGESTS.get(_name(_first(_only(value, _SEQUENCE))), "")
    return "SHA-1"  # the default of RFC 4055 section 3.1


def _inside(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element that stands here. Raise ValueError where one is not whole."""
    place = 0
    while place < len(data):
        tag, size = data[place], data[place + 1]
        place += 2
        if size & 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4:
                raise ValueError("a length that DER does not have")
            size = int.from_bytes(data[place : place + count], "big")
            place += count
        if place + size > len(data):
            raise ValueError("an element that is cut")
        yield tag, data[place : place + size]
        place += size


def _first(data: bytes) -> tuple[int, bytes]:
    """Return the first element that stands here. Raise ValueError where there is none."""
    for element in _inside(data):
        return element
    raise ValueError("an element with nothing in it")


def _only(data: bytes, tag: int) -> bytes:
    found, content = _first(data)
    if found != tag:
        raise ValueError("another element than expected")
    return content


def _name(element: tuple[int, bytes]) -> str:
    """Return an object identifier in dots (X.690 section 8.19)."""
    tag, data = element
    if tag != _OBJECT or not data or len(data) > 32:
        raise ValueError("no object identifier")
    arcs, arc = list[int](), 0
    for byte in data:
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(str(number) for number in (first, arcs[0] - 40 * first, *arcs[1:]))

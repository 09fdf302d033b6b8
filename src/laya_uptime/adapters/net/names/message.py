"""A question as bytes, and bytes as the answer to that question, or as nothing.

dnspython reads names and records; counts are bounded here before anything is read, so that a message of 64 KiB costs no
more than an honest one. A message counts as an answer only where its id and its question are the ones we sent.
"""

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

import dns.edns
import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CAA
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.NS
import dns.rdtypes.ANY.PTR
import dns.rdtypes.ANY.SOA
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.SRV
import dns.wire

from laya_uptime.domain.readable import escaped

PAYLOAD = 1232  # bytes of a datagram that pass everywhere unfragmented: the DNS flag day of 2020
LONGEST_ANSWER = 2048  # characters of one record's data
_MOST_RECORDS = 256  # of one message, that are looked at
_LONGEST_WHY = 200
_HEADER = struct.Struct("!HHHHHH")
_CLASS = dns.rdataclass.IN
_IN = 1
_TO_QUESTION = bytes((0xC0, 12))
_OPT = 41
_CNAME = 5
_SOA = 6
_EDE = 15  # RFC 8914
_QR, _TC, _RD, _AD = 0x8000, 0x0200, 0x0100, 0x0020
_OPCODE = 0x7800
_DO = 0x8000

# RFC 1035 and RFC 6891: a server that did not understand may leave the question out.
_WITHOUT_QUESTION = {1, 2, 4, 5}

# Named here, for dnspython loads them when they are first needed, and remembers for ever when that fails.
_KINDS: dict[int, type[dns.rdata.Rdata]] = {
    2: dns.rdtypes.ANY.NS.NS,
    6: dns.rdtypes.ANY.SOA.SOA,
    12: dns.rdtypes.ANY.PTR.PTR,
    15: dns.rdtypes.ANY.MX.MX,
    16: dns.rdtypes.ANY.TXT.TXT,
    33: dns.rdtypes.IN.SRV.SRV,
    257: dns.rdtypes.ANY.CAA.CAA,
}
_NUMBERS = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "CAA": 257}


class Malformed(Exception):
    """It answers our question, but cannot be read."""


@dataclass(frozen=True, slots=True)
class Question:
    """A name and the type of record that is wanted of it, in class IN."""

    name: dns.name.Name
    rdtype: int

    @property
    def wire(self) -> bytes:
        """Return its bytes in a message, in lower case."""
        return self.name.to_digestable() + struct.pack("!HH", self.rdtype, _IN)

    @property
    def wants_alias(self) -> bool:
        """Say whether an alias itself is what is wanted, and not what it leads to."""
        return self.rdtype == _CNAME

    @classmethod
    def of(cls, name: str, record: str) -> "Question":
        """Read a name of ASCII labels, absolute with or without its final dot. Raise ValueError where it can be none."""
        if record not in _NUMBERS:
            raise ValueError(f"records of type {record} cannot be asked for")
        labels = [] if name == "." else name.removesuffix(".").encode("ascii").split(b".")
        try:
            return cls(dns.name.Name([*labels, b""]), _NUMBERS[record])
        except dns.exception.DNSException:
            raise ValueError("no name is that long, nor has an empty part") from None


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the answer: whose it is, and its data as people read it; `leads_to` where it is an alias.

    `owner` is the name's wire form in lower case: dnspython compares names slowly, and a chain compares many.
    """

    owner: bytes
    text: str
    leads_to: dns.name.Name | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server answered to one question. `is_final`: it speaks for the last alias too. `wire`: the message itself."""

    code: int
    is_truncated: bool = False
    is_authenticated: bool = False
    is_final: bool = False
    records: tuple[Record, ...] = ()
    why: str = ""
    wire: bytes = field(default=b"", repr=False, compare=False)

    @property
    def rcode(self) -> str:
        """Return the code's name; one that nobody has named is "RCODE3000"."""
        name = dns.rcode.to_text(dns.rcode.Rcode.make(self.code))
        return f"RCODE{name}" if name.isdecimal() else name


def write(question: Question, *, id_: int, edns: bool, dnssec: bool) -> bytes:
    """Return the query. It asks for recursion, and for the AD flag (RFC 6840 section 5.7)."""
    head = _HEADER.pack(id_, _RD | _AD, 1, 0, 0, int(edns))
    options = b"\0" + struct.pack("!HHIH", _OPT, PAYLOAD, _DO if dnssec else 0, 0) if edns else b""
    return head + question.wire + options


def read(wire: bytes, question: Question, *, id_: int) -> Reply | None:
    """Return the answer, None where these bytes are no answer to this question. Raise Malformed where it cannot be read."""
    if len(wire) < _HEADER.size:
        return None
    number, flags, questions, *counts = _HEADER.unpack_from(wire)
    if number != id_ or not flags & _QR or flags & _OPCODE:
        return None
    parser = dns.wire.Parser(wire, _HEADER.size)
    code = flags & 0xF
    if questions == 1:
        if not _repeats(parser, question):
            return None
    elif questions or code not in _WITHOUT_QUESTION:
        return None
    if flags & _TC:
        return Reply(code=code, is_truncated=True, wire=wire)
    try:
        return _sections(parser, counts, question, code=code, authenticated=bool(flags & _AD))
    except (dns.exception.DNSException, ValueError) as error:
        raise Malformed(escaped(str(error) or type(error).__name__, _LONGEST_WHY)) from error


def _repeats(parser: dns.wire.Parser, question: Question) -> bool:
    """Say whether the question of a message is ours, in whatever case."""
    wire = question.wire
    if parser.wire.startswith(wire, _HEADER.size):
        parser.seek(_HEADER.size + len(wire))
        return True
    try:
        name = parser.get_name(None, True)
        rdtype, rdclass = parser.get_struct("!HH")
    except dns.exception.DNSException:
        return False
    return (rdtype, rdclass) == (question.rdtype, _IN) and name == question.name


def _sections(
    parser: dns.wire.Parser, counts: list[int], question: Question, *, code: int, authenticated: bool
) -> Reply:
    records: list[Record] = []
    is_final, why = False, ""
    left = _MOST_RECORDS
    for section, count in enumerate(counts):
        for _ in range(min(count, left)):
            owner = _owner(parser, question)
            rdtype, rdclass, ttl, length = parser.get_struct("!HHIH")
            if section == 0 and rdclass == _IN and rdtype in {question.rdtype, _CNAME}:
                with parser.restrict_to(length):
                    records.append(_record(parser, owner, rdtype))
                continue
            data = parser.get_bytes(length)
            is_final |= section == 1 and rdtype == _SOA
            if section == 2 and rdtype == _OPT:
                code |= ttl >> 24 << 4
                why = why or _why(data)
        left -= count
        if left <= 0:
            break
    return Reply(
        code=code,
        is_authenticated=authenticated,
        is_final=is_final,
        records=tuple(records),
        why=why,
        wire=parser.wire,
    )


def _owner(parser: dns.wire.Parser, question: Question) -> bytes:
    """Return whose record comes next; nearly always it points to the question."""
    if parser.wire.startswith(_TO_QUESTION, parser.current):
        parser.get_bytes(2)
        return question.name.to_digestable()
    return parser.get_name(None, True).to_digestable()


def _record(parser: dns.wire.Parser, owner: bytes, rdtype: int) -> Record:
    match rdtype:
        case 1:
            return Record(owner, str(IPv4Address(_address(parser, 4))))
        case 28:
            return Record(owner, str(IPv6Address(_address(parser, 16))))
        case 5:
            target = parser.get_name(None, True)
            return Record(owner, text_of(target), target)
        case _:
            with dns.exception.ExceptionWrapper(dns.exception.FormError):  # type: ignore[no-untyped-call]
                data = _KINDS[rdtype].from_wire_parser(_CLASS, dns.rdatatype.RdataType(rdtype), parser, None)
                return Record(owner, _data(data)[:LONGEST_ANSWER])


def _address(parser: dns.wire.Parser, size: int) -> bytes:
    data = parser.get_remaining()
    if len(data) != size:
        raise ValueError(f"an address of {len(data)} bytes")
    return data


def _data(data: dns.rdata.Rdata) -> str:
    """Return a record's data as in a zone file, but texts in one piece and bare, and names without their final dot."""
    match data:
        case dns.rdtypes.ANY.TXT.TXT():
            # RFC 7208 section 3.3: the pieces of a text belong together without anything between them.
            return b"".join(data.strings).decode("utf-8", "backslashreplace")
        case dns.rdtypes.ANY.MX.MX():
            return f"{data.preference} {text_of(data.exchange)}"
        case dns.rdtypes.ANY.NS.NS() | dns.rdtypes.ANY.PTR.PTR():
            return text_of(data.target)
        case dns.rdtypes.IN.SRV.SRV():
            return f"{data.priority} {data.weight} {data.port} {text_of(data.target)}"
        case dns.rdtypes.ANY.SOA.SOA():
            times = f"{data.serial} {data.refresh} {data.retry} {data.expire} {data.minimum}"
            return f"{text_of(data.mname)} {text_of(data.rname)} {times}"
        case _:
            return data.to_text()


def text_of(name: dns.name.Name) -> str:
    """Return a name as people write it; the root is a dot."""
    return name.to_text(omit_final_dot=True)


def _why(data: bytes) -> str:
    """Return what the first extended error among the options says: "DNSSEC bogus: no signature", or nothing."""
    parser = dns.wire.Parser(data)
    while parser.remaining():
        option, length = parser.get_struct("!HH")
        value = parser.get_bytes(length)
        if option == _EDE and length >= 2:
            return _extended(value)
    return ""


def _extended(value: bytes) -> str:
    number = int.from_bytes(value[:2], "big")
    try:
        name = dns.edns.EDECode(number).name.replace("_", " ").lower().replace("dnssec", "DNSSEC")
    except ValueError:
        name = f"extended error {number}"
    said = value[2:].rstrip(b"\0").decode("utf-8", "replace")[:_LONGEST_WHY]
    return f"{name}: {said}" if said else name

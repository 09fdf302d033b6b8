"""Any datagram as a name server's answer: an answer within bounds, none to our question, or the one error.

An input is one byte and a message. Of the byte, the low four bits choose what was asked; bit 4 puts this question into
the message behind its header, so that mutations do not have to find it. Where an input begins with FF FF, the end
of the message is repeated until it has 64 KiB, as TCP carries them.
"""

import struct

from laya_uptime.adapters.net.names import lookup, message
from laya_uptime.adapters.net.names.asking import Unanswered
from laya_uptime.adapters.net.names.message import Malformed, Question, Reply

LONGEST = 512

_HEADER = 12
_LARGEST = 65535
_LONG = b"\xff\xff"
_QUESTIONS = (
    Question.of("www.example.org", "A"),
    Question.of("example.org", "MX"),
    Question.of("example.org", "TXT"),
    Question.of("example.org", "SOA"),
    Question.of("_sip._tcp.example.org", "SRV"),
    Question.of("example.org", "CAA"),
    Question.of("1.2.0.192.in-addr.arpa", "PTR"),
    Question.of("www.example.org", "AAAA"),
    Question.of("www.example.org", "CNAME"),
    Question.of("example.org", "NS"),
    Question.of(".", "NS"),
    Question.of("a.a.a.a.a.a", "A"),
)


def run(data: bytes) -> None:
    """Read the message, and follow the aliases in it."""
    question = _QUESTIONS[(data[0] & 15) % len(_QUESTIONS)] if data else _QUESTIONS[0]
    wire = data[1:]
    if data[:1] >= b"\x10" and data[0] & 0x10 and len(wire) >= _HEADER:
        head = wire[:2] + bytes((wire[2] | 0x80,)) + wire[3:4] + b"\0\1" + wire[6:_HEADER]
        wire = head + question.wire + wire[_HEADER:]
        if data.startswith(_LONG):
            wire = _repeated(wire, _HEADER + len(question.wire))
    number = struct.unpack("!H", wire[:2])[0] if len(wire) >= 2 else 0
    try:
        reply = message.read(wire, question, id_=number)
    except Malformed as error:
        _check_sentence(str(error))
        return
    if reply is not None:
        _check(reply)
        _follow(reply, question)
    assert message.read(wire, question, id_=number ^ 1) is None


def _repeated(wire: bytes, begin: int) -> bytes:
    tail = wire[begin:] or b"\xc0\x0c"
    return (wire[:begin] + tail * (_LARGEST // len(tail)))[:_LARGEST]


def _check(reply: Reply) -> None:
    assert 0 <= reply.code < 4096
    assert reply.rcode.isprintable()
    assert len(reply.rcode) <= 20
    assert len(reply.records) <= 256
    assert len(reply.why) <= 250, reply.why
    for record in reply.records:
        assert 1 <= len(record.owner) <= 255
        assert len(record.text) <= message.LONGEST_ANSWER
        record.text.encode("utf-8")
        assert record.leads_to is None or record.text.isprintable()


def _check_sentence(text: str) -> None:
    assert text.isprintable(), repr(text)
    assert len(text) <= 700, text  # two names, each of whose 255 bytes may be an escape


def _follow(reply: Reply, question: Question) -> None:
    """Do with an answer what a lookup does with it."""
    chain = lookup._Chain(question)
    try:
        chain.absorb(reply)
    except Unanswered as error:
        _check_sentence(error.detail)
        return
    assert len(chain.aliases) <= 16
    assert len(set(chain.aliases)) == len(chain.aliases)
    assert len(chain.answers) <= 256

"""R04 and S02 for name servers: nothing that one sends costs more than the caps, and none of it passes for an answer."""

import struct
from datetime import timedelta

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laya_uptime.adapters.checks.dns import DnsCheck
from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.adapters.net.names.message import LONGEST_ANSWER, Malformed, Question, read, write
from laya_uptime.cli.draw import waterfall
from laya_uptime.domain.facts import evidence_of
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import Monitor, Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Failure, Result, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.testing.nameserver import Asked, Script, ScriptedNameServer
from laya_uptime.testing.observations import an_observation

PATIENCE = timedelta(seconds=20)
SHORT = timedelta(seconds=0.3)
QUESTION = Question.of("shop.test", "A")
HEAD = struct.pack("!HHHHHH", 7, 0x8180, 1, 1, 0, 0) + b"\x04shop\x04test\x00\x00\x01\x00\x01"


def a_record(owner: bytes, rdtype: int, data: bytes) -> bytes:
    return owner + struct.pack("!HHIH", rdtype, 1, 60, len(data)) + data


def check(server: ScriptedNameServer, query: str = "shop.test", record: str = "A") -> DnsCheck:
    return DnsCheck(query=query, record=record, resolver=f"127.0.0.1:{server.port}")  # type: ignore[arg-type]


MALFORMED = {
    "a pointer to itself": HEAD + a_record(b"\xc0\x1b", 1, bytes(4)),
    "a pointer forward": HEAD + a_record(b"\xc0\x30", 1, bytes(4)) + b"\x00" * 60,
    "two pointers to each other": HEAD + a_record(b"\xc0\x1d\xc0\x1b", 1, bytes(4)),
    "a label type that does not exist": HEAD + a_record(b"\x80x", 1, bytes(4)),
    "an address of five bytes": HEAD + a_record(b"\xc0\x0c", 1, bytes(5)),
    "no address at all": HEAD + a_record(b"\xc0\x0c", 1, b""),
    "data beyond the end": HEAD + b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4000) + bytes(4),
    "a record that is missing": HEAD,
    "an alias that points into itself": HEAD + a_record(b"\xc0\x0c", 5, b"\xc0\x27"),
    "an alias with something behind": HEAD + a_record(b"\xc0\x0c", 5, b"\xc0\x0cjunk"),
}


@pytest.mark.parametrize("wire", MALFORMED.values(), ids=list(MALFORMED))
async def test_r04_an_answer_that_cannot_be_read_is_said_to_be_that(reach: GuardedDialer, wire: bytes) -> None:
    async def script(asked: Asked) -> None:
        await asked.send_raw(asked.message.id.to_bytes(2, "big") + wire[2:])

    async with ScriptedNameServer(script) as server:
        seen = await check(server).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.DNS
    assert seen.detail.startswith(f"the answer of name server 127.0.0.1:{server.port} cannot be used: ")


@pytest.mark.parametrize(("record", "size"), [("A", 5), ("A", 0), ("A", 60_000), ("AAAA", 4), ("AAAA", 60_000)])
def test_r04_why_an_answer_cannot_be_read_is_told_in_a_few_plain_words(record: str, size: int) -> None:
    question = Question.of("shop.test", record)
    head = HEAD[:-4] + struct.pack("!HH", question.rdtype, 1)

    with pytest.raises(Malformed) as caught:
        read(head + a_record(b"\xc0\x0c", question.rdtype, b"\xca" * size), question, id_=7)

    assert str(caught.value) == f"an address of {size} bytes"


@given(st.binary(max_size=600))
def test_any_bytes_are_an_answer_or_none_or_malformed(data: bytes) -> None:
    for wire in (data, HEAD[:12] + data, HEAD + data):
        for question in (QUESTION, Question.of("shop.test", "TXT")):
            try:
                reply = read(wire, question, id_=7)
            except Malformed as error:
                told = str(error)
                assert told.isprintable(), told
                assert len(told) <= 200, told
                continue
            assert reply is None or len(reply.records) <= 256


@given(st.data())
def test_an_answer_with_any_byte_changed_raises_nothing_else(data: st.DataObject) -> None:
    record = data.draw(st.sampled_from(["A", "AAAA", "MX", "TXT", "SOA", "SRV", "CAA", "NS", "PTR", "CNAME"]))
    text = {
        "A": "192.0.2.1",
        "AAAA": "2001:db8::1",
        "MX": "1 m.test.",
        "TXT": '"a" "b"',
        "SOA": "a. b. 1 2 3 4 5",
        "SRV": "1 2 3 s.test.",
        "CAA": '0 issue "x"',
    }.get(record, "n.shop.test.")
    question = Question.of("shop.test", record)
    reply = dns.message.make_response(dns.message.from_wire(write(question, id_=7, edns=True, dnssec=True)))
    reply.answer.append(dns.rrset.from_text("shop.test.", 60, "IN", record, text))
    wire = bytearray(reply.to_wire())
    for _ in range(data.draw(st.integers(0, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))

    try:
        read(bytes(wire), question, id_=7)
    except Malformed:
        return


def test_r04_ten_thousand_records_are_looked_at_up_to_the_cap() -> None:
    records = b"".join(a_record(b"\xc0\x0c", 1, number.to_bytes(4, "big")) for number in range(4000))
    head = struct.pack("!HHHHHH", 7, 0x8180, 1, 10_000, 10_000, 10_000) + HEAD[12:]

    reply = read((head + records)[:65535], QUESTION, id_=7)

    assert reply is not None
    assert len(reply.records) == 256


async def test_r04_64_kib_of_addresses_over_tcp_become_few(reach: GuardedDialer) -> None:
    async def script(asked: Asked) -> None:
        if asked.over_tcp:
            addresses = [(asked.name, "A", f"127.{n >> 8}.{n & 255}.1") for n in range(4000)]
            await asked.send(asked.reply(*addresses))
        else:
            await asked.send(asked.reply(truncated=True))

    async with ScriptedNameServer(script) as server:
        seen = await check(server).probe(reach, timeout=PATIENCE)
        url = Secret("http://shop.test:1/")
        fetched = await HttpCheck(url=url, resolver=f"127.0.0.1:{server.port}").probe(reach, timeout=PATIENCE)

    assert seen.evidence.dns is not None
    assert len(seen.evidence.dns.answers) == 128
    assert isinstance(fetched, Failure)
    assert fetched.reason is Reason.REFUSED
    assert len(fetched.evidence.addresses) <= 64


async def test_r04_a_text_of_64_kib_is_cut(reach: GuardedDialer) -> None:
    async def script(asked: Asked) -> None:
        piece = '"' + "x" * 255 + '"'
        await asked.send(asked.reply((asked.name, "TXT", " ".join([piece] * 250)), truncated=not asked.over_tcp))

    async with ScriptedNameServer(script) as server:
        seen = await check(server, record="TXT").probe(reach, timeout=PATIENCE)

    assert seen.evidence.dns is not None
    assert [len(answer) for answer in seen.evidence.dns.answers] == [LONGEST_ANSWER]


async def then_cut(asked: Asked) -> None:
    await asked.send_raw(b"\xff\xff" + asked.reply((asked.name, "A", "192.0.2.1")).to_wire())


async def then_nothing(asked: Asked) -> None:
    del asked


async def then_another(asked: Asked) -> None:
    await asked.send(dns.message.make_response(dns.message.make_query("other.test", "A")))


async def then_truncated_again(asked: Asked) -> None:
    await asked.send(asked.reply(truncated=True))


async def then_rubbish(asked: Asked) -> None:
    await asked.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("then", "detail"),
    [
        (then_cut, "it hangs up before its answer is complete"),
        (then_nothing, "it hangs up before its answer is complete"),
        (then_another, "it answers another question than ours"),
        (then_truncated_again, "its answer over TCP is truncated"),
        (then_rubbish, "it hangs up before its answer is complete"),
    ],
)
async def test_r04_what_is_no_answer_over_tcp_is_said_to_be_none(
    reach: GuardedDialer, then: Script, detail: str
) -> None:
    async def script(asked: Asked) -> None:
        if asked.over_tcp:
            await then(asked)
        else:
            await asked.send(asked.reply(truncated=True))

    async with ScriptedNameServer(script) as server:
        seen = await check(server).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail.partition("cannot be used: ")[2]) == (Reason.DNS, detail)


async def test_r04_a_drip_over_tcp_ends_at_the_deadline(reach: GuardedDialer) -> None:
    async def script(asked: Asked) -> None:
        if not asked.over_tcp:
            await asked.send(asked.reply(truncated=True))
            return
        await asked.send_raw(b"\xff\xff")
        while True:
            await asked.send_raw(b"\x00")
            await reach.clock.sleep(0.01)

    async with ScriptedNameServer(script) as server:
        seen = await check(server).probe(reach, timeout=SHORT)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "dns")


async def test_r04_a_flood_of_answers_to_other_questions_ends(reach: GuardedDialer) -> None:
    async def script(asked: Asked) -> None:
        lie = asked.reply((asked.name, "A", "192.0.2.66"))
        lie.id ^= 1
        for _ in range(200):
            await asked.send(lie)

    async with ScriptedNameServer(script) as server:
        seen = await check(server).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.DNS
    assert seen.detail.endswith("cannot be used: it answers other questions than ours")


async def test_s02_of_private_and_metadata_addresses_only_the_vetted_one_is_connected(reach: GuardedDialer) -> None:
    async def script(asked: Asked) -> None:
        closed = [("end.test", "A", f"169.254.169.{number}") for number in range(200, 250)]
        opened = [("end.test", "A", "127.0.0.1")] if asked.name == "shop.test" else []
        addresses = [*closed, *opened] if asked.record == "A" else [("end.test", "AAAA", "fd00:ec2::254")]
        await asked.send(asked.reply((asked.name, "CNAME", "end.test."), *addresses))

    async with ScriptedNameServer(script) as server:
        resolver = f"127.0.0.1:{server.port}"
        seen = await HttpCheck(url=Secret("http://shop.test:1/"), resolver=resolver).probe(reach, timeout=PATIENCE)
        closed = await HttpCheck(url=Secret("http://closed.test/"), resolver=resolver).probe(reach, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.evidence.addresses[0]) == (Reason.REFUSED, "127.0.0.1")
    assert isinstance(closed, Failure)
    assert closed.reason is Reason.BLOCKED_BY_POLICY
    assert closed.evidence.dns is not None


async def test_text_of_strangers_stays_on_its_line(reach: GuardedDialer) -> None:
    async def script(asked: Asked) -> None:
        why = (0, "so\nsays\x1b[31m")
        await asked.send(asked.reply((asked.name, "TXT", '"<script>\\010\\027[31m"'), why=why))

    async with ScriptedNameServer(script) as server:
        seen = await check(server, record="TXT").probe(reach, timeout=PATIENCE)

    result = a_result(seen)
    told = evidence_of(seen.evidence)["dns"]
    assert isinstance(told, dict)
    assert (told["answers"], told["why"]) == (["<script> [31m"], "other: so says [31m")
    drawn = waterfall(Monitor(id="a", name="a", target="dns://shop.test"), result)
    assert f"NOERROR from 127.0.0.1:{server.port} for shop.test TXT" in drawn
    assert "    <script> [31m" in drawn.splitlines()
    assert not any(ord(char) < 32 for char in drawn if char != "\n")


def a_result(seen: Seen) -> Result:
    observation = an_observation(seen)
    return Result(observation=observation, verdict=judge(observation, Rules()))

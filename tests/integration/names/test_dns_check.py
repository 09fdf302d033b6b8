"""The check of type dns against real name servers on loopback: what is asked, what is believed, what it comes to."""

import asyncio
from datetime import timedelta

import dns.flags
import dns.message
import dns.rcode
import pytest

from laya_uptime.adapters.checks.dns import DnsCheck
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.assertion import parse
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, DnsFacts, Failure, Outcome, Seen, Verdict
from laya_uptime.testing.nameserver import Asked, ScriptedNameServer, Zone, knows, silence
from laya_uptime.testing.observations import an_observation

PATIENCE = timedelta(seconds=20)
ZONE: Zone = {
    "shop.test": {
        "A": ["192.0.2.1", "192.0.2.2"],
        "AAAA": ["2001:db8::1"],
        "MX": ["10 mail.shop.test.", "0 ."],
        "TXT": ['"v=spf1 include:" "mail.test -all"', '"\\195\\188 \\255"'],
        "NS": ["ns.test."],
        "SOA": ["ns.test. root.test. 2026010101 7200 3600 1209600 300"],
        "CAA": ['0 issue "ca.test"'],
    },
    "_sip._tcp.shop.test": {"SRV": ["10 20 5060 sip.shop.test."]},
    "www.shop.test": {"CNAME": ["shop.test."]},
    "gone.shop.test": {"CNAME": ["nowhere.invalid."]},
    "1.2.0.192.in-addr.arpa": {"PTR": ["shop.test."]},
}


def a_check(
    server: ScriptedNameServer, query: str = "shop.test", record: str = "A", *, dnssec: bool = False
) -> DnsCheck:
    return DnsCheck(query=query, record=record, resolver=f"127.0.0.1:{server.port}", dnssec=dnssec)  # type: ignore[arg-type]


def verdict(seen: Seen, *expect: str) -> Verdict:
    return judge(an_observation(seen), Rules(expect=tuple(map(parse, expect))))


def says(seen: Seen, *expect: str) -> tuple[Outcome, Reason | None, str]:
    given = verdict(seen, *expect)
    return given.outcome, given.reason, given.detail


def facts(seen: Seen) -> DnsFacts:
    assert seen.evidence.dns is not None
    return seen.evidence.dns


@pytest.mark.parametrize(
    ("query", "record", "answers"),
    [
        ("shop.test", "A", {"192.0.2.1", "192.0.2.2"}),
        ("SHOP.test.", "AAAA", {"2001:db8::1"}),
        ("shop.test", "MX", {"10 mail.shop.test", "0 ."}),
        ("shop.test", "TXT", {"v=spf1 include:mail.test -all", "ü \\xff"}),
        ("shop.test", "NS", {"ns.test"}),
        ("shop.test", "SOA", {"ns.test root.test 2026010101 7200 3600 1209600 300"}),
        ("shop.test", "CAA", {'0 issue "ca.test"'}),
        ("_sip._tcp.shop.test", "SRV", {"10 20 5060 sip.shop.test"}),
        ("www.shop.test", "CNAME", {"shop.test"}),
        ("192.0.2.1", "PTR", {"shop.test"}),
    ],
)
async def test_each_type_of_record_reads_as_people_write_it(
    reach: GuardedDialer, query: str, record: str, answers: set[str]
) -> None:
    async with ScriptedNameServer(knows(ZONE)) as server:
        seen = await a_check(server, query, record).probe(reach, timeout=PATIENCE)

    assert set(facts(seen).answers) == answers
    assert (facts(seen).rcode, facts(seen).record, facts(seen).aliases) == ("NOERROR", record, ())
    assert facts(seen).server == f"127.0.0.1:{server.port}"
    assert seen.evidence.address == "127.0.0.1"
    assert [step for step, _ in seen.evidence.phases.reached()] == ["dns"]
    assert says(seen) == (Outcome.UP, None, "")


@pytest.mark.parametrize(
    ("query", "record", "detail"),
    [
        ("nope.test", "A", "no such name: nope.test (NXDOMAIN)"),
        ("gone.shop.test", "A", "no such name: nowhere.invalid (NXDOMAIN), an alias of gone.shop.test"),
        ("shop.test", "SRV", "no SRV record for shop.test (NODATA)"),
        ("www.shop.test", "SRV", "no SRV record for shop.test (NODATA), an alias of www.shop.test"),
        ("shop.test", "CNAME", "no CNAME record for shop.test (NODATA)"),
    ],
)
async def test_a_record_that_is_not_there_is_down_with_the_exact_code(
    reach: GuardedDialer, query: str, record: str, detail: str
) -> None:
    async with ScriptedNameServer(knows(ZONE)) as server:
        seen = await a_check(server, query, record).probe(reach, timeout=PATIENCE)

    assert says(seen) == (Outcome.DOWN, Reason.DNS, detail)


@pytest.mark.parametrize(
    ("rcode", "detail"),
    [
        ("SERVFAIL", "name server {} failed for shop.test (SERVFAIL)"),
        ("REFUSED", "name server {} refuses to answer for shop.test (REFUSED)"),
        ("FORMERR", "name server {} answers FORMERR for shop.test"),
        ("NOTIMP", "name server {} answers NOTIMP for shop.test"),
        ("YXDOMAIN", "name server {} answers YXDOMAIN for shop.test"),
        ("BADVERS", "name server {} answers BADVERS for shop.test"),
        ("3000", "name server {} answers RCODE3000 for shop.test"),
    ],
)
async def test_an_error_of_the_server_is_down_with_the_exact_code(
    reach: GuardedDialer, rcode: str, detail: str
) -> None:
    async def script(asked: Asked) -> None:
        reply = asked.reply(rcode="SERVFAIL")
        reply.use_edns(0)
        reply.set_rcode(dns.rcode.Rcode.make(int(rcode) if rcode.isdigit() else rcode))
        await asked.send(reply)

    async with ScriptedNameServer(script) as server:
        seen = await a_check(server).probe(reach, timeout=PATIENCE)

    assert says(seen) == (Outcome.DOWN, Reason.DNS, detail.format(f"127.0.0.1:{server.port}"))


@pytest.mark.parametrize(
    ("query", "expect", "outcome"),
    [
        ("nope.test", 'dns.rcode == "NXDOMAIN"', Outcome.UP),
        ("nope.test", 'dns.rcode in ["NXDOMAIN", "REFUSED"]', Outcome.UP),
        ("nope.test", "latency < 1m", Outcome.DOWN),
        ("shop.test", 'dns.answers contains "192.0.2.2"', Outcome.UP),
        ("shop.test", 'dns.answers contains "192.0.2.9"', Outcome.DOWN),
        ("shop.test", 'dns.rcode == "NXDOMAIN"', Outcome.DOWN),
        ("www.shop.test", 'dns.answers contains "192.0.2.1" and ip == "127.0.0.1"', Outcome.UP),
    ],
)
async def test_who_expects_something_of_the_answer_decides_what_is_good(
    reach: GuardedDialer, query: str, expect: str, outcome: Outcome
) -> None:
    async with ScriptedNameServer(knows(ZONE)) as server:
        seen = await a_check(server, query).probe(reach, timeout=PATIENCE)

    assert verdict(seen, expect).outcome is outcome


async def test_an_alias_that_the_server_does_not_follow_is_followed(reach: GuardedDialer) -> None:
    async def script(asked: Asked) -> None:
        number = int(asked.name.removeprefix("n").removesuffix(".test"))
        record = ("CNAME", f"N{number + 1}.test.") if number < 16 else ("A", "192.0.2.1")
        await asked.send(asked.reply((asked.name, *record)))

    async with ScriptedNameServer(script) as server:
        seen = await a_check(server, "n0.test").probe(reach, timeout=PATIENCE)
        longer = await a_check(server, "n-1.test").probe(reach, timeout=PATIENCE)

    assert facts(seen).answers == ("192.0.2.1",)
    assert [alias.lower() for alias in facts(seen).aliases] == [f"n{number}.test" for number in range(1, 17)]
    assert says(longer) == (Outcome.DOWN, Reason.DNS, "n-1.test leads through more than 16 aliases")


@pytest.mark.parametrize("at_once", [True, False])
async def test_aliases_that_go_round_in_a_circle_end(reach: GuardedDialer, at_once: bool) -> None:
    circle = {"a.test": "b.test", "b.test": "c.test", "c.test": "b.test"}

    async def script(asked: Asked) -> None:
        names = circle if at_once else [asked.name]
        await asked.send(asked.reply(*((name, "CNAME", f"{circle[name]}.") for name in names)))

    async with ScriptedNameServer(script) as server:
        seen = await a_check(server, "a.test").probe(reach, timeout=PATIENCE)

    assert says(seen) == (Outcome.DOWN, Reason.DNS, "the aliases of a.test go round in a circle")
    assert len(server.asked) <= 3


async def test_records_of_other_names_are_no_answers(reach: GuardedDialer) -> None:
    async def script(asked: Asked) -> None:
        await asked.send(asked.reply(("evil.test", "A", "192.0.2.66"), ("shop.test", "TXT", '"x"')))

    async with ScriptedNameServer(script) as server:
        seen = await a_check(server).probe(reach, timeout=PATIENCE)

    assert says(seen) == (Outcome.DOWN, Reason.DNS, "no A record for shop.test (NODATA)")


async def test_dnssec_is_asked_for_and_its_proof_is_wanted(reach: GuardedDialer) -> None:
    async with ScriptedNameServer(knows(ZONE, authenticated=True)) as good, ScriptedNameServer(knows(ZONE)) as bad:
        proven = await a_check(good, dnssec=True).probe(reach, timeout=PATIENCE)
        unproven = await a_check(bad, dnssec=True).probe(reach, timeout=PATIENCE)
        absent = await a_check(bad, "nope.test", dnssec=True).probe(reach, timeout=PATIENCE)
        unasked = await a_check(bad).probe(reach, timeout=PATIENCE)

    assert says(proven) == (Outcome.UP, None, "")
    assert facts(proven).authenticated
    sentence = "the answer of name server {} for {} is not authenticated by DNSSEC (no AD flag)"
    place = f"127.0.0.1:{bad.port}"
    assert says(unproven) == (Outcome.DOWN, Reason.DNS, sentence.format(place, "shop.test"))
    assert says(absent) == (Outcome.DOWN, Reason.DNS, sentence.format(place, "nope.test"))
    assert says(unasked) == (Outcome.UP, None, "")
    assert good.asked[0].message.ednsflags == dns.flags.DO
    assert bad.asked[-1].message.ednsflags == 0


async def test_what_the_server_says_of_its_error_is_told(reach: GuardedDialer) -> None:
    async def script(asked: Asked) -> None:
        await asked.send(asked.reply(rcode="SERVFAIL", why=(6, "signature of shop.test expired\n")))

    async with ScriptedNameServer(script) as server:
        seen = await a_check(server, dnssec=True).probe(reach, timeout=PATIENCE)

    assert verdict(seen).detail.endswith("(SERVFAIL): DNSSEC bogus: signature of shop.test expired")


async def test_a_question_is_as_large_an_answer_as_passes_everywhere_and_asks_for_recursion(
    reach: GuardedDialer,
) -> None:
    async with ScriptedNameServer(knows(ZONE)) as server:
        for _ in range(8):
            await a_check(server).probe(reach, timeout=PATIENCE)

    message = server.asked[0].message
    assert (message.edns, message.payload) == (0, 1232)
    assert message.flags == dns.flags.RD | dns.flags.AD
    assert len({asked.message.id for asked in server.asked}) > 4
    assert len({asked.port for asked in server.asked}) > 4


@pytest.mark.parametrize("rcode", ["FORMERR", "NOTIMP", "BADVERS"])
async def test_a_server_that_does_not_know_edns_is_asked_without(reach: GuardedDialer, rcode: str) -> None:
    async def script(asked: Asked) -> None:
        if asked.message.edns < 0:
            await knows(ZONE)(asked)
            return
        reply = asked.reply(rcode="SERVFAIL")
        if rcode == "BADVERS":
            reply.use_edns(0)
        else:
            reply.use_edns(False)
            reply.question.clear()
        reply.set_rcode(dns.rcode.from_text(rcode))
        await asked.send(reply)

    async with ScriptedNameServer(script) as server:
        seen = await a_check(server).probe(reach, timeout=PATIENCE)

    assert says(seen) == (Outcome.UP, None, "")
    assert [asked.message.edns for asked in server.asked] == [0, -1]


async def test_an_answer_that_is_too_large_for_a_datagram_comes_over_tcp(reach: GuardedDialer) -> None:
    async def script(asked: Asked) -> None:
        if asked.over_tcp:
            await asked.send(asked.reply(*((asked.name, "TXT", f'"{number}"') for number in range(90))))
        else:
            await asked.send(asked.reply((asked.name, "TXT", '"part"'), truncated=True).to_wire()[:-3])

    async with ScriptedNameServer(script) as server:
        seen = await a_check(server, record="TXT").probe(reach, timeout=PATIENCE)

    assert len(facts(seen).answers) == 90
    assert facts(seen).tcp
    assert [asked.over_tcp for asked in server.asked] == [False, True]


async def test_a_truncated_answer_without_tcp_is_no_answer(reach: GuardedDialer) -> None:
    async def script(asked: Asked) -> None:
        await asked.send(asked.reply((asked.name, "A", "192.0.2.1"), truncated=True))

    async with ScriptedNameServer(script, tcp=False) as server:
        seen = await a_check(server).probe(reach, timeout=PATIENCE)

    assert says(seen) == (Outcome.DOWN, Reason.REFUSED, "Connection refused")


async def test_what_is_no_answer_to_our_question_is_passed_over(reach: GuardedDialer) -> None:
    async def script(asked: Asked) -> None:
        lie = asked.reply((asked.name, "A", "192.0.2.66"))
        await asked.send_from_elsewhere(lie)
        lie.id ^= 1
        await asked.send(lie)
        other = dns.message.make_query("shop2.test", "A", id=asked.message.id)
        await asked.send(dns.message.make_response(other))
        await asked.send(dns.message.make_response(dns.message.make_query("shop.test", "MX", id=asked.message.id)))
        await asked.send(asked.message.to_wire())  # the question itself, reflected
        await asked.send_raw(b"")
        await asked.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await asked.send(asked.reply((asked.name.upper(), "A", "192.0.2.1")))

    async with ScriptedNameServer(script) as server:
        seen = await a_check(server).probe(reach, timeout=PATIENCE)

    assert facts(seen).answers == ("192.0.2.1",)
    assert len(server.asked) == 1


async def test_silence_ends_at_the_deadline_in_phase_dns(reach: GuardedDialer) -> None:
    async with ScriptedNameServer(silence) as server:
        seen = await a_check(server).probe(reach, timeout=timedelta(seconds=0.2))

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "dns")
    assert seen.detail == f"no answer from name server 127.0.0.1:{server.port} within 0.2 s"
    assert seen.evidence.phases.dns is not None
    assert seen.evidence.addresses == ("127.0.0.1",)


async def test_a_lost_datagram_is_no_outage(reach: GuardedDialer) -> None:
    async def script(asked: Asked) -> None:
        if len(asked.server.asked) > 1:
            await knows(ZONE)(asked)

    async with ScriptedNameServer(script) as server:
        seen = await a_check(server).probe(reach, timeout=PATIENCE)

    assert says(seen) == (Outcome.UP, None, "")
    assert len({asked.message.id for asked in server.asked}) == 2


async def test_a_late_answer_to_the_first_question_still_counts(reach: GuardedDialer) -> None:
    first: list[Asked] = []

    async def script(asked: Asked) -> None:
        first.append(asked)
        if len(first) == 2:
            await knows(ZONE)(first[0])

    async with ScriptedNameServer(script) as server:
        seen = await a_check(server).probe(reach, timeout=PATIENCE)

    assert says(seen) == (Outcome.UP, None, "")


async def test_nobody_on_the_port_is_refused(reach: GuardedDialer) -> None:
    seen = await DnsCheck(url="dns://127.0.0.1:1/shop.test").probe(reach, timeout=PATIENCE)

    assert says(seen) == (Outcome.DOWN, Reason.REFUSED, "Connection refused")


@pytest.mark.parametrize("resolver", ["169.254.169.254", "0.0.0.0", "[fe80::1]:53", "224.0.0.251:5353"])
async def test_the_egress_policy_holds_for_name_servers(reach: GuardedDialer, resolver: str) -> None:
    seen = await DnsCheck(query="shop.test", resolver=resolver).probe(reach, timeout=PATIENCE)

    outcome, reason, detail = says(seen)
    assert (outcome, reason) == (Outcome.UNKNOWN, Reason.BLOCKED_BY_POLICY)
    assert detail.startswith("name server ")
    assert detail.endswith(", which the egress policy does not open")


async def test_a_cancelled_check_leaves_nothing(reach: GuardedDialer) -> None:
    async with ScriptedNameServer(silence) as server:
        work = asyncio.create_task(a_check(server).probe(reach, timeout=PATIENCE))
        while not server.asked:
            await reach.clock.sleep(0.01)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    assert work.cancelled()


async def test_any_server_that_speaks_ipv6_can_be_asked(reach: GuardedDialer) -> None:
    try:
        async with ScriptedNameServer(knows(ZONE), host="::1") as server:
            seen = await DnsCheck(url=f"dns://[::1]:{server.port}/shop.test").probe(reach, timeout=PATIENCE)
    except OSError:
        pytest.skip("not run: this machine has no IPv6")

    assert says(seen) == (Outcome.UP, None, "")
    assert isinstance(seen, Answer)
    assert facts(seen).server == f"[::1]:{server.port}"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("dns://example.org", "dns://example.org?type=A"),
        ("dns:///example.org", "dns://example.org?type=A"),
        ("DNS://Example.org.?TYPE=mx", "dns://example.org?type=MX"),
        ("dns://192.0.2.53/example.org?type=AAAA", "dns://192.0.2.53/example.org?type=AAAA"),
        ("dns://192.0.2.53:53/example.org", "dns://192.0.2.53/example.org?type=A"),
        ("dns://[2001:DB8::53]:5353/example.org?class=IN;type=TXT", "dns://[2001:db8::53]:5353/example.org?type=TXT"),
        ("dns://192.0.2.53/192.0.2.1?type=PTR", "dns://192.0.2.53/1.2.0.192.in-addr.arpa?type=PTR"),
        ("dns://192.0.2.53/.?type=NS", "dns://192.0.2.53/.?type=NS"),
        ("dns://bücher.example", "dns://xn--bcher-kva.example?type=A"),
    ],
)
def test_one_url_is_a_whole_check(url: str, target: str) -> None:
    check = DnsCheck(url=url)

    assert check.target == target
    assert DnsCheck(url=check.target).target == target


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "`query` is needed: the name to ask for"),
        ({"query": ""}, "`query` is needed: the name to ask for"),
        ({"url": "dns://"}, "`url`: write it as dns://example.org?type=MX"),
        ({"url": "dns://example.org/"}, "`url`: write it as dns://example.org?type=MX"),
        ({"url": "https://example.org"}, "`url`: write it as dns://example.org?type=MX"),
        ({"url": "dns://example.org?type=ANY"}, "`url`: after the ? can be type= and one of A, AAAA,"),
        ({"url": "dns://example.org?typ=A"}, "`url`: after the ? can be type="),
        ({"url": "dns://dns.example/example.org"}, "`resolver`: it must be an IP address, with its port where that is"),
        ({"url": "dns://example.org", "record": "MX"}, "`url` already says the name, the record and the resolver"),
        ({"query": "a..b"}, "`query`: the host name has an empty part"),
        ({"query": "a" * 64 + ".test"}, "`query`: the host is not a name"),
        ({"query": "192.0.2.1"}, "`query`: an address has a PTR record and no other"),
        ({"query": "example.org", "resolver": "192.0.2.53:0"}, "`resolver`: it must be an IP address"),
        ({"query": "example.org", "resolver": "192.0.2.53:99999"}, "`resolver`: it must be an IP address"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_plain_sentence(options: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=r"^`") as caught:
        DnsCheck(**options)  # type: ignore[arg-type]

    assert str(caught.value).startswith(said)

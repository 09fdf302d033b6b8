"""Name servers as they are written, and answers as they are told."""

from dataclasses import replace

import pytest

from laya_uptime.cli.draw import waterfall
from laya_uptime.domain.assertion import parse
from laya_uptime.domain.dns import NameServer, cause, queried_name
from laya_uptime.domain.facts import evidence_of
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import Monitor, Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, DnsFacts, Evidence, Outcome, Result
from laya_uptime.testing.observations import an_observation

GOOD = DnsFacts(
    name="shop.example", record="A", server="192.0.2.53", rcode="NOERROR", answers=("192.0.2.1", "192.0.2.2")
)
NODATA = replace(GOOD, answers=())
GONE = replace(NODATA, rcode="NXDOMAIN")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("192.0.2.53", "192.0.2.53"),
        ("192.0.2.53:53", "192.0.2.53"),
        ("192.0.2.53:5353", "192.0.2.53:5353"),
        ("2001:DB8:0::53", "2001:db8::53"),
        ("[2001:db8::53]", "2001:db8::53"),
        ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_a_name_server_is_an_address_with_or_without_a_port(text: str, written: str) -> None:
    server = NameServer.parse(text)

    assert str(server) == written
    assert NameServer.parse(written) == server


@pytest.mark.parametrize(
    "text", ["", "dns.example", "192.0.2.53:0", "192.0.2.53:65536", "192.0.2.53:x", "[::1", ":53", "a:53"]
)
def test_what_is_no_name_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="`resolver`: it must be an IP address"):
        NameServer.parse(text)


@pytest.mark.parametrize(
    ("text", "record", "name"),
    [
        ("Shop.Example.", "A", "shop.example"),
        (".", "NS", "."),
        ("_dmarc.shop.example", "TXT", "_dmarc.shop.example"),
        ("bücher.example", "A", "xn--bcher-kva.example"),
        ("192.0.2.1", "PTR", "1.2.0.192.in-addr.arpa"),
        ("2001:db8::1", "PTR", f"1.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa"),
        ("1.2.0.192.in-addr.arpa", "PTR", "1.2.0.192.in-addr.arpa"),
    ],
)
def test_a_name_is_asked_for_in_its_plain_form(text: str, record: str, name: str) -> None:
    assert queried_name(text, record) == name


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (GOOD, None),
        (NODATA, "no A record for shop.example (NODATA)"),
        (replace(NODATA, record="A, AAAA"), "no address for shop.example (NODATA)"),
        (GONE, "no such name: shop.example (NXDOMAIN)"),
        (
            replace(GONE, aliases=("a.example", "b.example")),
            "no such name: b.example (NXDOMAIN), an alias of shop.example",
        ),
        (replace(NODATA, rcode="SERVFAIL"), "name server 192.0.2.53 failed for shop.example (SERVFAIL)"),
        (
            replace(NODATA, rcode="SERVFAIL", why="DNSSEC bogus"),
            "name server 192.0.2.53 failed for shop.example (SERVFAIL): DNSSEC bogus",
        ),
        (replace(NODATA, rcode="REFUSED"), "name server 192.0.2.53 refuses to answer for shop.example (REFUSED)"),
        (replace(NODATA, rcode="NOTAUTH"), "name server 192.0.2.53 answers NOTAUTH for shop.example"),
    ],
)
def test_each_answer_has_its_cause_in_plain_words(facts: DnsFacts, said: str | None) -> None:
    verdict = judge(an_observation(Answer(Evidence(dns=facts))), Rules())

    assert cause(facts) == said
    assert (verdict.outcome, verdict.reason) == ((Outcome.UP, None) if said is None else (Outcome.DOWN, Reason.DNS))
    assert verdict.detail == (said or "")


@pytest.mark.parametrize(
    ("facts", "expression", "holds", "actual"),
    [
        (GOOD, 'dns.rcode == "NOERROR"', True, '"NOERROR"'),
        (GONE, 'dns.rcode in ["NOERROR", "SERVFAIL"]', False, '"NXDOMAIN"'),
        (GOOD, 'dns.answers contains "192.0.2.2"', True, '["192.0.2.1", "192.0.2.2"]'),
        (GOOD, 'dns.answers contains "192.0.2"', False, '["192.0.2.1", "192.0.2.2"]'),
        (NODATA, 'dns.answers contains "192.0.2.2"', False, "[]"),
        (None, 'dns.answers contains "192.0.2.2"', False, "absent"),
        (None, 'dns.rcode != "NXDOMAIN"', False, "absent"),
    ],
)
def test_expressions_speak_of_the_code_and_the_answers(
    facts: DnsFacts | None, expression: str, holds: bool, actual: str
) -> None:
    result = parse(expression).test(an_observation(Answer(Evidence(dns=facts))))

    assert (result.holds, dict(result.actual).popitem()[1]) == (holds, actual)


def test_a_preference_about_the_answer_leaves_the_usual_judgement() -> None:
    rules = Rules(prefer=(parse('dns.rcode == "NXDOMAIN"'),))

    verdict = judge(an_observation(Answer(Evidence(dns=GONE))), rules)

    assert (verdict.outcome, verdict.reason) == (Outcome.DOWN, Reason.DNS)


def test_an_answer_leaves_the_house_with_what_was_said() -> None:
    facts = replace(
        GOOD,
        answers=tuple(f"192.0.2.{number}" for number in range(30)),
        aliases=("a.example",),
        authenticated=True,
        tcp=True,
        why="stale answer",
    )

    told = evidence_of(Evidence(dns=facts))

    assert told["dns"] == {
        "name": "shop.example",
        "record": "A",
        "server": "192.0.2.53",
        "rcode": "NOERROR",
        "answers": [f"192.0.2.{number}" for number in range(20)],
        "aliases": ["a.example"],
        "authenticated": True,
        "tcp": True,
        "why": "stale answer",
    }


def test_an_answer_is_drawn_in_few_lines() -> None:
    facts = replace(GOOD, answers=tuple(f"192.0.2.{number}" for number in range(30)), tcp=True)
    observation = an_observation(Answer(Evidence(dns=facts)))
    result = Result(observation=observation, verdict=judge(observation, Rules()))

    drawn = waterfall(Monitor(id="a", name="a", target="dns://shop.example"), result).splitlines()

    assert drawn[2] == "  NOERROR from 192.0.2.53 for shop.example A (over TCP)"
    assert drawn[3] == "    192.0.2.0"
    assert drawn[-1] == "    and 10 more"

"""How a check without HTTP looks in a terminal."""

from dataclasses import replace
from datetime import timedelta

from laya_uptime.cli.draw import waterfall, wire
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import Rules
from laya_uptime.domain.result import Answer, Attempted, Evidence, Phases, Result, TlsFacts
from laya_uptime.domain.trace import Kind, TraceLine
from laya_uptime.testing import a_monitor
from laya_uptime.testing.observations import NOON, a_certificate, an_observation

MS = timedelta(milliseconds=1)


def drawn(evidence: Evidence) -> list[str]:
    observation = an_observation(Answer(evidence))
    monitor = replace(a_monitor("mail", name="mail"), target="tcp://mail.example:25")
    return waterfall(monitor, Result(observation=observation, verdict=judge(observation, Rules()))).splitlines()


def test_what_a_peer_said_is_shown_line_by_line_and_cut() -> None:
    lines = drawn(Evidence(address="192.0.2.10", phases=Phases(connect=MS), said="220 hi\r\n\r\n" + "250 x\r\n" * 11))

    assert lines[0] == "✓ mail up 43 ms"
    assert lines[4:] == ["  said: 220 hi", *["  said: 250 x"] * 8, "  and 3 lines more"]
    assert drawn(Evidence(said="x" * 500))[-1] == f"  said: {'x' * 199}…"


def test_addresses_that_were_tried_in_vain_are_shown_with_their_cause() -> None:
    tried = (
        Attempted(address="2001:db8::10", took=250 * MS, cause="no answer by then"),
        Attempted(address="192.0.2.11", took=1.2 * MS, cause="Connection refused"),
        Attempted(address="192.0.2.10", took=3 * MS),
    )
    addresses = ("2001:db8::10", "192.0.2.11", "192.0.2.10")

    assert drawn(Evidence(addresses=addresses, address="192.0.2.10", attempts=tried))[2:5] == [
        "  connected to 192.0.2.10 (also 2001:db8::10, 192.0.2.11)",
        "  tried 2001:db8::10: no answer by then, 250.0 ms",
        "  tried 192.0.2.11: Connection refused, 1.2 ms",
    ]


def test_a_certificate_tells_its_key_and_signature_and_a_weak_one_its_weakness() -> None:
    weak = replace(a_certificate(NOON + timedelta(days=90)), key="RSA", bits=1024, digest="SHA-256")

    lines = drawn(Evidence(tls=TlsFacts(version="TLSv1.2", cipher="X", chain=(weak,))))

    assert lines[0] == ("▲ mail degraded 43 ms: certificate has a weak key: RSA of 1024 bits, 2048 are the least")
    assert "  reason: cert_weak" in lines
    assert lines[-1] == "  certificate: CN=shop.example, until 2027-02-23 (90 days left), RSA 1024, SHA-256"


def test_a_trace_is_drawn_with_its_times_at_the_left() -> None:
    lines = [
        TraceLine(0.0, Kind.NOTE, "GET http://shop.example/"),
        TraceLine(1.2, Kind.TLS, "> 517 bytes: ClientHello"),
        TraceLine(12.3, Kind.SENT, "GET / HTTP/1.1"),
        TraceLine(1234.5, Kind.RECEIVED, "HTTP/1.1 200 OK"),
    ]

    assert wire(lines).splitlines() == [
        "      0.0 ms  * GET http://shop.example/",
        "      1.2 ms  * tls: > 517 bytes: ClientHello",
        "     12.3 ms  > GET / HTTP/1.1",
        "   1234.5 ms  < HTTP/1.1 200 OK",
    ]
    assert wire([]) == "  nothing went over the wire"

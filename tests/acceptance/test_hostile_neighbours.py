"""One bad target, mail server or webhook receiver delays nobody else."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from laya_uptime.testing.ledger import LedgerSink
from laya_uptime.testing.program import Installation
from laya_uptime.testing.services import (
    HEALTHY,
    REFUSES,
    Caller,
    Script,
    Services,
    answers,
    bomb,
    is_endless,
    is_silent,
    trickles,
)

ROUNDS = 4


@pytest.fixture
def dripping_mail_server() -> Iterator[int]:
    """A mail server whose greeting comes one byte at a time and has no end."""
    ends = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while not ends.wait(0.05):
                connection.sendall(b"2")

    def accept() -> None:
        with suppress(OSError):
            while not ends.is_set():
                connection, _ = listener.accept()
                drips.append(threading.Thread(target=drip, args=(connection,)))
                drips[-1].start()

    drips: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepts = threading.Thread(target=accept)
        accepts.start()
        yield listener.getsockname()[1]
        ends.set()
        listener.shutdown(socket.SHUT_RDWR)
        accepts.join()
    for thread in drips:
        thread.join()


def test_targets_that_hold_on_delay_no_other(laya: Installation, services: Services) -> None:
    services.put("gibbon-cms", is_silent)
    services.put("parent-portal", trickles)

    watching = laya.start("watch", "--interval", "1")
    watching.wait_for("✓ AI Service", times=ROUNDS)
    held = {service: len(services.looks[service]) for service in ("gibbon-cms", "parent-portal")}

    assert held == {"gibbon-cms": 1, "parent-portal": 1}, "it had its rounds while their first checks still ran"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(is_endless, id="endless"),
        pytest.param(bomb(), id="bomb"),
        pytest.param(answers(200, "[" * 500_000), id="nested"),
        pytest.param(answers(200, '{"status": ' + "9" * 500_000 + "}"), id="a number without end"),
        pytest.param(answers(200, json.dumps({str(key): key for key in range(40_000)})), id="forty thousand keys"),
        pytest.param(answers(200, {"status": "(a+)+$" * 50_000}), id="a word without end"),
    ],
)
def test_a_target_that_is_too_much_is_down_or_up_and_delays_no_other(
    laya: Installation, services: Services, script: Script
) -> None:
    services.put("gibbon-cms", script)

    watching = laya.start("watch", "--interval", "1")
    for service in ("AI Service", "Gibbon CMS", "Parent Portal"):
        watching.wait_for(rf"[✓✗] {service}: ", times=2)
    code = watching.end(signal.SIGINT)

    assert code == 0
    assert "failed by itself" not in watching.out
    assert max(len(line.text) for line in watching.lines) < 1000


@pytest.mark.parametrize("server", ["silent", "dripping"])
def test_a_mail_server_that_holds_on_delays_neither_checks_nor_the_other_channel(
    laya: Installation,
    services: Services,
    sink: LedgerSink,
    alerts: dict[str, str],
    silent_port: int,
    dripping_mail_server: int,
    server: str,
) -> None:
    port = silent_port if server == "silent" else dripping_mail_server
    services.put_all(REFUSES)

    watching = laya.start("watch", "--interval", "1", **alerts | {"SMTP_PORT": str(port)})
    sink.wait_for(3, channel="webhook")
    services.put_all(HEALTHY)
    sink.wait_for(6, channel="webhook")
    watching.wait_for("✓ AI Service", times=2)
    told = watching.out

    assert "📧" not in told, "all that time the first mail was still under way"
    assert sink.entries("email") == []


@pytest.mark.parametrize("script", [is_silent, trickles], ids=["silent", "trickling"])
def test_a_webhook_receiver_that_holds_on_delays_neither_checks_nor_the_mail(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str], script: Script
) -> None:
    async def portal(caller: Caller) -> None:
        await (script(caller) if caller.request.startswith(b"POST") else HEALTHY(caller))

    services.put("parent-portal", portal)
    services.put("gibbon-cms", REFUSES)
    hook = services.url("parent-portal", "/hook")

    watching = laya.start("watch", "--interval", "1", **alerts | {"ALERT_WEBHOOK": hook})
    sink.wait_for(1, channel="email")
    services.put("gibbon-cms", HEALTHY)
    sink.wait_for(2, channel="email")
    watching.wait_for("✓ Parent Portal", times=3)
    told = watching.out

    assert "📡" not in told, "all that time the first call was still under way"
    assert [mail.transition for mail in sink.entries("email")] == ["down", "recovered"]


def test_a_receiver_that_redirects_is_not_followed(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str]
) -> None:
    elsewhere = sink.url("/stolen")

    async def portal(caller: Caller) -> None:
        moved = answers(307, head=f"Location: {elsewhere}\r\n")
        await (moved(caller) if caller.request.startswith(b"POST") else HEALTHY(caller))

    services.put("parent-portal", portal)
    services.put("gibbon-cms", REFUSES)

    watching = laya.start("watch", **alerts | {"ALERT_WEBHOOK": services.url("parent-portal", "/hook")})
    watching.wait_for("📡 Webhook alert failed - .*307.*, giving up")
    watching.end()

    assert sink.entries("stolen") == []

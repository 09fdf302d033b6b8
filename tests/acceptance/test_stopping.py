"""How it ends: by a signal with a report and exit code 0, soon, whatever is still under way."""

import re
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from laya_uptime.testing.ledger import LedgerSink
from laya_uptime.testing.program import Installation, Program
from laya_uptime.testing.services import REFUSES, Services, is_silent

SOON = 5.0 + 3.0  # checks and deliveries get five seconds; the rest is for a busy machine


def ends_well(watching: Program, number: signal.Signals) -> float:
    """Send the signal, assert that all goes as it should, and return how long it took."""
    asked = time.monotonic()
    code = watching.end(number)
    took = time.monotonic() - asked
    assert code == 0
    assert watching.err == ""
    assert "Status Report - Uptime: " in watching.out
    assert watching.messages[-1] == "INFO LAYA Uptime Monitoring stopped"
    return took


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_report(laya: Installation, number: signal.Signals) -> None:
    watching = laya.start("watch", "--interval", "1")
    watching.wait_for("✓ Parent Portal")

    took = ends_well(watching, number)

    assert took < SOON / 2, "nothing was under way"


def test_what_hangs_is_cut_off_after_five_seconds(
    laya: Installation, services: Services, sink: LedgerSink, alerts: dict[str, str], silent_port: int
) -> None:
    """Side by side, because each takes five seconds: a check that hangs, by either signal, and a mail server."""

    def start(name: str, **variables: str) -> Program:
        place = {"LAYA_UPTIME_DATA": str(laya.directory / name), "LOG_FILE": str(laya.directory / f"{name}.log")}
        return laya.start("watch", "--interval", "1", **place | variables)

    services.put("gibbon-cms", is_silent)
    services.put("parent-portal", REFUSES)
    healthy = services.url("ai-service")
    hanging = {signal.SIGINT: start("interrupted"), signal.SIGTERM: start("terminated")}
    mailing = start("mailing", GIBBON_URL=healthy, **alerts | {"SMTP_PORT": str(silent_port)})
    for watching in (*hanging.values(), mailing):
        watching.wait_for("✓ AI Service")
    mailing.wait_for("📡 Webhook alert sent")

    with ThreadPoolExecutor() as together:
        ends = [together.submit(ends_well, watching, number) for number, watching in hanging.items()]
        ends.append(together.submit(ends_well, mailing, signal.SIGTERM))
    start("mailing", GIBBON_URL=healthy, **alerts)
    (mail,) = sink.wait_for(1, channel="email")

    assert max(end.result() for end in ends) < SOON
    for watching in hanging.values():
        assert [message for message in watching.messages if re.match(r"\w+ [✓⚠✗?🚨] Gibbon CMS:", message)] == []
        assert "? Gibbon CMS           | Status: unknown    |" in watching.out, "it was not recorded as anything"
    assert mail.transition == "down", "what was unsent goes out at the next start, and does not wait for a lease"
    assert [call.transition for call in sink.entries("webhook")] == ["down"]


def test_a_second_ctrl_c_ends_it_at_once_with_130(laya: Installation, services: Services) -> None:
    services.put("gibbon-cms", is_silent)
    watching = laya.start("watch", "--interval", "1")
    watching.wait_for("✓ AI Service")
    services.wait_for_looks("ai-service", 1)

    asked = time.monotonic()
    watching.tell(signal.SIGINT)
    time.sleep(0.3)  # so that the two are two: signals of one kind that wait are one
    code = watching.end(signal.SIGINT)

    assert code == 130
    assert watching.err == ""
    assert time.monotonic() - asked < 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("loaded", ["cyclopts", "asyncio", "laya_uptime.config.environment"])
def test_a_signal_during_start_up_leaves_no_mess(laya: Installation, number: signal.Signals, loaded: str) -> None:
    # -X importtime says on standard error what has been loaded, as it is.
    tells = f'exec "{sys.executable}" -X importtime -m laya_uptime "$@" 2>&1'
    starting = laya.start("watch", "--interval", "1", command=["sh", "-c", tells, "laya-uptime"])
    starting.wait_for(rf"\| +{re.escape(loaded)}$")

    code = starting.end(number)

    assert "Traceback" not in starting.out
    assert code in {0, 130, -signal.SIGTERM}
    following = laya.start("watch", "--interval", "1")
    following.wait_for("✓ Parent Portal")
    assert following.end() == 0, "nothing is left behind that holds up the next one"


def test_a_round_under_way_is_finished(laya: Installation, services: Services, tmp_path: Path) -> None:
    watching = laya.start("watch", "--interval", "1")
    watching.wait_for("✓ AI Service", times=2)

    ends_well(watching, signal.SIGTERM)

    assert watching.out.count("✓ AI Service: ") == len(services.looks["ai-service"])
    assert laya.log.read_text(encoding="utf-8") == watching.out, "no line is lost at the end"

"""R01 to R03, all at once: two hundred attacked monitors and twenty healthy ones in one running service.

The attackers, the service and this test are three processes. How much later than asked the machine lets a sleeping
process of its own run is measured here all the while, and granted to the service on top of its 250 ms: so a slow or
busy machine fails nothing, and a service that holds up itself does.
"""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from laya_uptime.testing.program import Installation

SCRIPT = Path(__file__).parent / "attackers.py"
ATTACKED, HEALTHY = 200, 20
DEADLINE = 6.0  # seconds, for an attacked monitor
GRACE = 0.25
EACH, TOTAL = 5 << 20, 200 << 20  # bytes: the promise for each attacker, and what two hundred really need at most
EVERYTHING = {"timeout", "too_large", "http_protocol", "redirect_loop", "truncated"}


def serve() -> Iterator[int]:
    with subprocess.Popen([sys.executable, SCRIPT, "serve"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


attackers = pytest.fixture(serve, name="attackers")  # the port of a process that attacks
neighbours = pytest.fixture(serve, name="neighbours")  # the port of another, of which only /healthy is asked


@pytest.fixture
def stall() -> Iterator[list[float]]:
    """The longest time, in seconds, that the machine kept a process of its own waiting beyond what it asked for."""
    worst, over = [0.0], threading.Event()

    def sleep() -> None:
        before = time.monotonic()
        while not over.wait(0.01):
            now = time.monotonic()
            worst[0] = max(worst[0], now - before - 0.01)
            before = now

    thread = threading.Thread(target=sleep)
    thread.start()
    yield worst
    over.set()
    thread.join()


def test_r01_r03_two_hundred_attackers_cost_little_and_delay_no_neighbour(
    attackers: int, neighbours: int, stall: list[float], tmp_path: Path
) -> None:
    attacks = subprocess.run([sys.executable, SCRIPT, "attacks"], capture_output=True, text=True, check=True)
    kinds = attacks.stdout.split()
    base = f"http://127.0.0.1:{attackers}"
    monitors: dict[str, object] = {
        f"attacked-{n}": {"url": f"{base}/{kinds[n % len(kinds)]}/{n}", "every": "1h", "timeout": f"{DEADLINE}s"}
        for n in range(ATTACKED)
    }
    monitors |= {
        f"healthy-{n}": {"url": f"http://127.0.0.1:{neighbours}/healthy/{n}", "every": "3s", "timeout": "2900ms"}
        for n in range(HEALTHY)
    }
    file = tmp_path / "laya-uptime.yaml"
    file.write_text(json.dumps({"monitors": monitors}))
    looks = tmp_path / "laya-uptime.looks"

    with Installation(tmp_path) as laya:
        service = laya.start("watch", file, tmp_path / "data", command=(sys.executable, SCRIPT))
        service.wait_for("healthy-0")
        give_up = time.monotonic() + 60
        while _lines(looks) < ATTACKED + HEALTHY and time.monotonic() < give_up:
            time.sleep(0.1)
        assert service.end(signal.SIGTERM) == 0, service.err
    *found, memory = [json.loads(line) for line in looks.read_text().splitlines()]

    by_monitor = {each["monitor"]: each for each in found}
    assert by_monitor.keys() == monitors.keys()
    allowed = DEADLINE + GRACE + stall[0]
    for name, each in by_monitor.items():
        if name.startswith("attacked"):
            assert each["outcome"] == "down", each
            assert each["reason"] in EVERYTHING, each
            assert each["elapsed"] <= allowed, (each, stall[0])
        else:
            assert (each["outcome"], each["reason"]) == ("up", None), each
    order = [each["monitor"] for each in found]
    first_timeout = next(place for place, each in enumerate(found) if each["reason"] == "timeout")
    assert all(order.index(f"healthy-{n}") < first_timeout for n in range(HEALTHY)), "a neighbour had to wait"
    passes = Counter(re.findall(r"✓ (healthy-\d+):", service.out))
    assert "✗ healthy" not in service.out
    assert len(passes) == HEALTHY
    assert min(passes.values()) >= 2, passes
    grown = memory["peak"] - memory["before"]
    print(f"{grown / ATTACKED / 2**20:.2f} MiB each, {grown / 2**20:.0f} MiB in all, machine's stall {stall[0]:.3f} s")
    assert grown < ATTACKED * EACH
    assert grown < TOTAL


def _lines(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0

"""laya-uptime's own prober: monitors read by its configuration, its checks, its guarded dialer, its judge. No store.

Arguments: how many at once, then URLs. SSL_CERT_FILE names the `ca_file` of the checks, where these speak TLS. They do it
as an installation without the extra fast-tls does; with TLS=fast as one with it.
"""

import asyncio
import json
import os
import sys
from itertools import cycle, islice

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.config.load import decode
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.judge import judge
from laya_uptime.domain.result import Observation, Outcome
from laya_uptime.engine.prober import Prober
from laya_uptime.ports import Watched
from peers.protocol import serve

FAST = "utls"  # what the extra fast-tls installs
EXPECT = ["status == 200", 'body.status == "healthy"']


def monitors(at_once: int, urls: list[str]) -> tuple[Watched, ...]:
    """Return this many monitors of these URLs, as a configuration file would give them."""
    options = {"ca_file": os.environ["SSL_CERT_FILE"]} if urls[0].startswith("https:") else {}
    entries = {f"m{n}": {"url": url} | options for n, url in enumerate(islice(cycle(urls), at_once))}
    text = json.dumps({"defaults": {"expect": EXPECT}, "monitors": entries})
    return decode(text, source="benchmark", environ={}).monitors


class Closed:
    """A closed loop: each monitor is checked again as soon as its check is done."""

    def __init__(self, watched: tuple[Watched, ...]) -> None:
        self._watched = watched
        self._clock = SystemClock()
        if os.environ.get("TLS") != "fast":
            sys.modules[FAST] = None  # type: ignore[assignment]  # the import fails, as where it is not installed
        dialer = GuardedDialer(clock=self._clock, policy=EgressPolicy())
        if os.environ.get("TLS") == "fast" and dialer.fast_context(ca_file=os.environ["SSL_CERT_FILE"]) is None:
            raise SystemExit("the extra fast-tls is not at work")
        self._prober = Prober(via=dialer, clock=self._clock, trouble=self._trouble)
        self._until = 0.0

    @staticmethod
    def _trouble(text: str) -> None:
        print(text, file=sys.stderr)

    async def run(self, seconds: float) -> tuple[int, int]:
        """Check for this long and return how many checks there were and how many of them did not find the target up."""
        self._checks = self._failed = self._under_way = 0
        self._over = asyncio.Event()
        self._until = self._clock.monotonic() + seconds
        for each in self._watched:
            self._start(each)
        await self._over.wait()
        return self._checks, self._failed

    def _start(self, watched: Watched) -> None:
        self._under_way += 1
        due = self._clock.now()
        self._prober.start(watched.monitor, watched.check, due, lambda seen: self._done(watched, seen))

    def _done(self, watched: Watched, seen: Observation) -> None:
        verdict = judge(seen, watched.monitor.rules)
        self._checks += 1
        if verdict.outcome is not Outcome.UP:
            self._failed += 1
            if self._failed == 1:
                self._trouble(verdict.detail)
        self._under_way -= 1
        if self._clock.monotonic() < self._until:
            self._start(watched)
        elif not self._under_way:
            self._over.set()


def main() -> None:
    """Serve in one loop that lives as long as the process."""
    closed = Closed(monitors(int(sys.argv[1]), sys.argv[2:]))
    with asyncio.Runner() as runner:
        serve(lambda seconds: runner.run(closed.run(seconds)))


if __name__ == "__main__":
    main()

"""A check that says what a test wrote, and a network that is not there.

| sign | what the target does |
|---|---|
| `.` | answers 200, healthy |
| `d` | answers 200, degraded |
| `u` | answers 503, unhealthy |
| `x` | refuses the connection |
| `?` | nobody can tell: our own network is away |
| `h` | hangs until the check's own deadline, which the check keeps |
| `s` | hangs, and the check forgets its deadline |
| `e` | nothing: the check itself is at fault and raises |

The answers are health documents by their content type, so every monitor reads them whose `health` is not off.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from datetime import timedelta
from typing import Literal

from laya_uptime.domain.dns import NameServer
from laya_uptime.domain.health import HEALTH_TYPE
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Body, DnsFacts, Evidence, Failure, Seen
from laya_uptime.ports import ClientCertificate, Clock, Connection, Dialling, Fault, Poll, Purpose, Reach, Trail

PROBES: dict[str, Seen] = {}  # what the signs stand for, as far as they stand for something seen
SIGNS = ".duxh?se"


def _document(status: int, word: str) -> Answer:
    text = f'{{"status": "{word}"}}'
    body = Body(content_type=HEALTH_TYPE, text=text, size=len(text), document={"status": word}, is_document=True)
    return Answer(Evidence(address="192.0.2.10", addresses=("192.0.2.10",), status=status, body=body))


PROBES["."] = _document(200, "healthy")
PROBES["d"] = _document(200, "degraded")
PROBES["u"] = _document(503, "unhealthy")
PROBES["x"] = Failure(Reason.REFUSED, "Connection refused")
PROBES["?"] = Failure(Reason.PROBE_OFFLINE, "our own network is away")
PROBES["h"] = Failure(Reason.TIMEOUT, "no answer in time", phase="wait")


class ScriptedCheck:
    """`ports.Check` that goes through a script of signs, one per probe; the last one holds for ever.

    `probes` counts what was begun, `overlaps` how often one began before the one before had ended.
    """

    def __init__(
        self, script: str = ".", *, takes: timedelta = timedelta(0), target: str = "https://shop.example/health"
    ) -> None:
        """Take this long for each probe, on the clock of whoever probes."""
        self.takes = takes
        self.probes = 0
        self.overlaps = 0
        self._target = target
        self._running = 0
        self.play(script)

    @property
    def target(self) -> str:
        """Return the target as people may see it."""
        return self._target

    def play(self, script: str) -> None:
        """Go on with another script. Raise ValueError for a sign that means nothing."""
        if not script or set(script) - set(SIGNS):
            message = f"{script!r} is no script; the signs are {SIGNS}"
            raise ValueError(message)
        self._script = script
        self._place = 0

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  as in the port
        """Say what the script says."""
        self.probes += 1
        self.overlaps += self._running > 0
        self._running += 1
        try:
            return await self._say(self._next(), via.clock, timeout)
        finally:
            self._running -= 1

    async def _say(self, sign: str, clock: Clock, timeout: timedelta) -> Seen:  # noqa: ASYNC109  as in the port
        if sign == "s":
            await asyncio.get_running_loop().create_future()
        wait = timeout if sign == "h" else self.takes
        if wait:
            await clock.sleep(wait.total_seconds())
        if sign == "e":
            raise ZeroDivisionError("a secret that belongs into no log")
        return PROBES[sign]

    def _next(self) -> str:
        sign = self._script[min(self._place, len(self._script) - 1)]
        self._place += 1
        return sign


class _Over:
    """What was over before it began."""

    def cancel(self) -> None:
        """Change nothing."""


class NoNetwork:
    """`ports.Reach` that reaches nothing: for checks and notifiers that need none."""

    def __init__(self, clock: Clock) -> None:
        """Go by this clock."""
        self.clock = clock

    @property
    def poll(self) -> Poll:
        """Raise OSError: there is nothing to wait for."""
        raise OSError(errno.ENETDOWN, "there is no network")

    def dial(
        self,
        host: str,
        port: int,
        done: Callable[[socket.socket | Fault], None],
        *,
        purpose: Purpose,
        explicit: bool = False,
        resolver: NameServer | None = None,
        version: Literal[4, 6] | None = None,
        trail: Trail,
    ) -> Dialling:
        """Call `done` with the fault that the network is unreachable."""
        del purpose, explicit, resolver, version, trail
        done(Fault(Failure(Reason.UNREACHABLE, f"there is no network to reach {host}:{port} through")))
        return _Over()

    def refusal(self, host: str) -> None:
        """Refuse nothing: nothing can be reached anyway."""

    def fast_context(self, *, ca_file: str | None = None) -> None:
        """Have none."""

    async def connect(
        self,
        host: str,
        port: int,
        *,
        purpose: Purpose,
        explicit: bool = False,
        resolver: NameServer | None = None,
        version: Literal[4, 6] | None = None,
        trail: Trail | None = None,
    ) -> Connection:
        """Raise `Fault`: the network is unreachable."""
        del purpose, explicit, resolver, version, trail
        raise Fault(Failure(Reason.UNREACHABLE, f"there is no network to reach {host}:{port} through"))

    async def vet(
        self,
        host: str,
        *,
        purpose: Purpose,
        explicit: bool = False,
        resolver: NameServer | None = None,
        version: Literal[4, 6] | None = None,
        trail: Trail | None = None,
    ) -> tuple[str, ...]:
        """Raise `Fault`: the network is unreachable."""
        del purpose, explicit, resolver, version, trail
        raise Fault(Failure(Reason.UNREACHABLE, f"there is no network to reach {host} through"))

    async def ask(
        self,
        name: str,
        record: str,
        *,
        resolver: NameServer | None = None,
        dnssec: bool = False,
        trail: Trail | None = None,
    ) -> DnsFacts:
        """Raise `Fault`: the network is unreachable."""
        del record, resolver, dnssec, trail
        raise Fault(Failure(Reason.UNREACHABLE, f"there is no network to ask for {name} through"))

    async def echo(
        self, host: str, *, version: Literal[4, 6] | None = None, trail: Trail | None = None
    ) -> socket.socket:
        """Raise `Fault`: the network is unreachable."""
        del version, trail
        raise Fault(Failure(Reason.UNREACHABLE, f"there is no network to reach {host} through"))

    def context(
        self,
        *,
        ca_file: str | None = None,
        insecure: bool = False,
        speaks_http: bool = True,
        admits_weak: bool = False,
        client: ClientCertificate | None = None,
    ) -> ssl.SSLContext:
        """Return a context that nothing will use."""
        del insecure, speaks_http, admits_weak, client
        return ssl.create_default_context(cafile=ca_file)

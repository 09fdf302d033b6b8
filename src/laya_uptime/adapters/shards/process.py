"""A probe process of our own, and its monitors: it looks, we listen.

It is started as a child with one end of a socket pair and nothing else of ours: no store, no configuration file, no
variable but those that a check's own network needs. Monitors and their secrets go over the socket alone. It ends when
the socket does, so it never outlives the hub, however that ends.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta

from laya_uptime.adapters.shards import wire
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.load import Load
from laya_uptime.errors import ProbingLost
from laya_uptime.ports import Clock, Overseer, Watched

SILENCE = 10  # looks for a sign of life, a second apart, until a process that gives none counts as hung
_LOOK = 1.0  # seconds
_AT_ONCE = 500  # monitors in one frame
_LAST_WORDS = 0.5  # seconds of the time to settle in that are for handing over
_BURIAL = 1.0  # seconds that a process gets to end after it was killed or has hung up
_MODULE = "laya_uptime.agent"
# Where programs, authorities, time zones and name servers are found. None of it is confidential.
_KEPT = (
    "HOSTALIASES",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "LOCALDOMAIN",
    "PATH",
    "RES_OPTIONS",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TZ",
)


class ProcessProbing:
    """`ports.Probing` in a child process. `run` starts it; each further `run` starts it anew with all monitors."""

    def __init__(
        self,
        watched: Sequence[Watched],
        overseer: Overseer,
        *,
        policy: EgressPolicy,
        clock: Clock,
        anchor: float,
    ) -> None:
        """Start nothing yet. Raise WireError where a kind of check cannot be told to another process."""
        self._watched = {each.monitor.id: each for each in watched}
        self._overseer = overseer
        self._policy = policy
        self._clock = clock
        self._anchor = anchor
        self._paused: set[str] = set()
        self._sooner: list[str] = []
        self._serial = 0
        self._edited: dict[str, int] = {}  # monitors of which old news may still come, and the order that ends it
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._ended = asyncio.Event()
        self._is_settling = False
        self._has_spoken = False
        self._silent_looks = 0
        self._beat: wire.Beat | None = None
        self._beat_at = 0.0
        self._before = Load()  # of processes that are gone
        for example in {type(each.check): each for each in watched}.values():
            wire.task_of(example)

    @property
    def pid(self) -> int | None:
        """Return the number of the process, None while there is none."""
        return self._process.pid if self._process else None

    @property
    def load(self) -> Load:
        """Return the counts of a second ago, over all processes since start."""
        return self._before if self._beat is None else self._before.plus(self._beat.load)

    def is_turning(self, *, within: timedelta) -> bool:
        """Say whether the process has said within this time that it looks at slots."""
        if self._beat is None or not self._beat.turning:
            return False
        return self._clock.monotonic() - self._beat_at <= within.total_seconds()

    async def run(self) -> None:
        """Start the process and listen to it until it has settled. Raise ProbingLost where it ends or hangs before."""
        if self._is_settling:
            return
        reader = await self._start()
        self._ended.clear()
        talks = [asyncio.ensure_future(self._introduce()), asyncio.ensure_future(self._look_for_life())]
        try:
            why = await self._listen(reader)
        finally:
            for talk in talks:
                talk.cancel()
            await asyncio.gather(*talks, return_exceptions=True)
            self._hang_up()
            code = self._bury()
            self._before, self._beat = self.load.past, None
            self._ended.set()
        if not self._is_settling:
            raise ProbingLost(why or _fate(code))

    def sooner(self, monitor_id: str) -> None:
        """Look again sooner than the interval says."""
        if not self._sooner:
            asyncio.get_running_loop().call_soon(self._ask_sooner)
        self._sooner.append(monitor_id)

    def put(self, watched: Watched) -> None:
        """Look at this monitor from now on. Raise WireError where its check cannot be told to another process."""
        task = wire.task_of(watched)
        self._watched[watched.monitor.id] = watched
        self._say(wire.Watch(self._edit(watched.monitor.id), [task]))

    def remove(self, monitor_id: str) -> None:
        """Look at it no more."""
        self._watched.pop(monitor_id, None)
        self._paused.discard(monitor_id)
        self._say(wire.Remove(self._edit(monitor_id), [monitor_id]))

    def pause(self, monitor_id: str) -> None:
        """Begin no more checks of it until `resume`, also by a process that is yet to be started."""
        self._paused.add(monitor_id)
        self._say(wire.Pause([monitor_id]))

    def resume(self, monitor_id: str) -> None:
        """Look at it again."""
        self._paused.discard(monitor_id)
        self._say(wire.Resume([monitor_id]))

    async def settle(self, seconds: float) -> None:
        """Let the process finish what is under way and hand it over; kill it where that takes longer than this."""
        self._is_settling = True
        if self._process is None:
            return
        self._say(wire.Stop(max(seconds - _LAST_WORDS, 0.0)))
        ended = asyncio.ensure_future(self._ended.wait())
        await asyncio.wait({ended}, timeout=seconds)
        if not ended.done():
            self._process.kill()  # `run` hears that
            await asyncio.wait({ended}, timeout=_BURIAL)
        ended.cancel()

    async def _start(self) -> asyncio.StreamReader:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: ASYNC220, S603  started by one quick call, and ended by `run`
                    [sys.executable, "-P", "-m", _MODULE, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # a trace may show what is confidential
                    start_new_session=True,  # a Ctrl-C in the terminal is for the hub, which decides
                )
            reader, self._writer = await asyncio.open_connection(sock=ours)
        except OSError as error:
            ours.close()
            self._bury()
            raise ProbingLost(f"could not be started ({error.strerror or type(error).__name__})") from None
        self._has_spoken = False
        self._silent_looks = 0
        self._edited.clear()
        return reader

    async def _introduce(self) -> None:
        """Tell the process all that it shall look at, piece by piece."""
        self._say(wire.Hello(self._anchor, [str(network) for network in self._policy.allow]))
        ids = list(self._watched)
        for begin in range(0, len(ids), _AT_ONCE):
            piece = [self._watched[id_] for id_ in ids[begin : begin + _AT_ONCE] if id_ in self._watched]
            self._serial += 1
            self._say(wire.Watch(self._serial, [wire.task_of(each) for each in piece]))
            await self._drain()
        if self._paused:
            self._say(wire.Pause(sorted(self._paused)))
        self._say(wire.Begin())
        await self._drain()

    async def _drain(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(ConnectionError):  # whoever listens hears of the end
                await self._writer.drain()
        await self._clock.sleep(0)

    async def _look_for_life(self) -> None:
        """Kill a process that says nothing. Looks are counted, not seconds: a machine asleep hears nothing either."""
        while self._silent_looks < SILENCE:
            await self._clock.sleep(_LOOK)
            self._silent_looks = 0 if self._has_spoken else self._silent_looks + 1
            self._has_spoken = False
        if self._process is not None:
            self._process.kill()

    async def _listen(self, reader: asyncio.StreamReader) -> str | None:
        """Take what comes until the end; return why it came where we made it so."""
        while (body := await wire.read_frame(reader)) is not None:
            self._has_spoken = True
            try:
                self._take(wire.read_report(body))
            except wire.WireError as error:
                return f"said something that is no report ({error})"
            await self._clock.sleep(0)  # a long backlog does not keep others waiting
        if self._silent_looks >= SILENCE:
            return f"said nothing for {SILENCE * _LOOK:g} s and was killed"
        return None

    def _take(self, report: wire.Report) -> None:
        match report:
            case wire.Batch():
                for row in report.rows:
                    result = wire.result_of(row, region=report.region)
                    if row.id in self._edited or row.id not in self._watched:  # news of what it looked at before
                        self._overseer.slot_over(row.id, result.observation.due)
                    else:
                        self._overseer.seen(result)
                for monitor_id, due in report.over:
                    self._overseer.slot_over(monitor_id, wire.instant(due))
            case wire.Beat():
                self._beat, self._beat_at = report, self._clock.monotonic()
            case wire.Took():
                self._edited = {id_: serial for id_, serial in self._edited.items() if serial > report.serial}
            case wire.Trouble():
                self._overseer.trouble(report.text)
            case wire.Relief():
                self._overseer.relief(report.text)

    def _edit(self, monitor_id: str) -> int:
        self._serial += 1
        if self._writer is not None:
            self._edited[monitor_id] = self._serial
        return self._serial

    def _ask_sooner(self) -> None:
        ids, self._sooner = self._sooner, []
        self._say(wire.Sooner(ids))

    def _say(self, order: wire.Order) -> None:
        """Say it where somebody listens. A process that is yet to be started is told everything then."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(wire.frame(order))

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    def _bury(self) -> int | None:
        """Wait for the end of the process, which has hung up or is to end now; return its exit code."""
        process, self._process = self._process, None
        if process is None:
            return None
        if not self._is_settling and process.poll() is None:
            process.kill()
        try:
            return process.wait(_BURIAL)
        except subprocess.TimeoutExpired:  # it hangs in the kernel, or would not go
            process.kill()
            return None


def _environment() -> dict[str, str]:
    """Return all the variables that a probe process gets. It finds our modules where we found them."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def _fate(code: int | None) -> str:
    if code is None:
        return "hung up and did not end"
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"

"""Probing in several parts: each monitor belongs to one by its id, and a part that is lost is begun again.

The part that a monitor belongs to depends on nothing but its id and how many parts there are, so edits find it and a
restart changes nothing. While a part is away its monitors are seen by nobody; that is told, and their status becomes
unknown by itself.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import reduce
from hashlib import sha256

from laya_uptime.domain.load import Load
from laya_uptime.engine.supervisor import FIRST_WAIT, GOOD_AFTER, LONGEST_WAIT
from laya_uptime.errors import ProbingLost
from laya_uptime.ports import Clock, Overseer, Probing, Watched

AUTO_FROM = 100.0  # checks a second
_TURNING = timedelta(seconds=5)  # a part that has said so within this time is back
_GLANCE = 0.1  # seconds between two looks whether it is


def part_of(monitor_id: str, parts: int) -> int:
    """Return to which of so many parts this monitor belongs, from 0."""
    return int.from_bytes(sha256(b"part:" + monitor_id.encode()).digest()[:8], "big") % parts


def parts_for(watched: Sequence[Watched], *, cores: int) -> int:
    """Return in how many processes these are best looked at; 1: in the one that keeps the store.

    A check over TLS takes less than a millisecond of a core. Below a hundred of them a second nine tenths of one core
    are idle, and further processes would bring nothing but their memory.
    """
    rate = sum(1 / each.monitor.every.total_seconds() for each in watched if each.is_probed)
    return max(cores, 1) if rate > AUTO_FROM else 1


class Shards:
    """`ports.Probing` over several others, each of which is run again, a little later each time, when it is lost."""

    def __init__(
        self,
        watched: Sequence[Watched],
        overseer: Overseer,
        *,
        parts: int,
        make: Callable[[Sequence[Watched]], Probing],
        clock: Clock,
    ) -> None:
        """Share the monitors out among `parts`, at least one; `make` makes a part for its monitors."""
        shares: list[list[Watched]] = [[] for _ in range(parts)]
        for each in watched:
            shares[part_of(each.monitor.id, parts)].append(each)
        self.parts = [make(share) for share in shares]
        self._overseer = overseer
        self._clock = clock
        self._away = set(self.parts)  # that are yet to begin, or to begin again
        self._lost: set[Probing] = set()  # of those, the ones that somebody was told of
        self._is_settling = False

    @property
    def load(self) -> Load:
        """Return the counts of all parts together."""
        return reduce(Load.plus, (part.load for part in self.parts), Load())

    def is_turning(self, *, within: timedelta) -> bool:
        """Say whether each part has looked at slots within this time, or is being started or ended; one that is lost is told."""
        return self._is_settling or all(part in self._away or part.is_turning(within=within) for part in self.parts)

    async def run(self) -> None:
        """Look for ever, and return once settled."""
        async with asyncio.TaskGroup() as group:
            for place in range(len(self.parts)):
                group.create_task(self._keep(place))

    def sooner(self, monitor_id: str) -> None:
        """Look again sooner than the interval says."""
        self._part(monitor_id).sooner(monitor_id)

    def put(self, watched: Watched) -> None:
        """Look at this monitor from now on, at once and then on its phase; in place of the one that had its id."""
        self._part(watched.monitor.id).put(watched)

    def remove(self, monitor_id: str) -> None:
        """Look at it no more."""
        self._part(monitor_id).remove(monitor_id)

    def pause(self, monitor_id: str) -> None:
        """Begin no more checks of it until `resume`."""
        self._part(monitor_id).pause(monitor_id)

    def resume(self, monitor_id: str) -> None:
        """Look at it again, on its phase."""
        self._part(monitor_id).resume(monitor_id)

    async def settle(self, seconds: float) -> None:
        """Let all parts settle, at the same time."""
        self._is_settling = True
        await asyncio.gather(*(part.settle(seconds) for part in self.parts))

    def _part(self, monitor_id: str) -> Probing:
        return self.parts[part_of(monitor_id, len(self.parts))]

    async def _keep(self, place: int) -> None:
        """Run a part until it has settled; begin it again whenever it is lost, and tell so once each time."""
        wait = FIRST_WAIT
        while True:
            began = self._clock.monotonic()
            try:
                await self._run(place)
            except ProbingLost as lost:
                why = str(lost)
            except Exception as error:  # noqa: BLE001  whatever went wrong, the others go on and this one gets another try
                why = f"failed ({type(error).__name__})"
            else:
                return
            if self._is_settling:
                return
            if self._clock.monotonic() - began > GOOD_AFTER:
                wait = FIRST_WAIT
            self._away.add(self.parts[place])
            if self.parts[place] not in self._lost:
                self._lost.add(self.parts[place])
                self._overseer.trouble(
                    f"{self._name(place)} {why}, starting it again in {wait:g} s; nobody looks at its monitors until then"
                )
            await self._clock.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def _run(self, place: int) -> None:
        part = self.parts[place]
        run = asyncio.ensure_future(part.run())
        try:
            while not run.done() and not part.is_turning(within=_TURNING):
                await self._clock.sleep(_GLANCE)
            if not run.done():
                self._away.discard(part)
                if part in self._lost:
                    self._lost.discard(part)
                    self._overseer.relief(f"{self._name(place)} looks at its monitors again")
            await run
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)

    def _name(self, place: int) -> str:
        return f"Probe process {place + 1} of {len(self.parts)}"

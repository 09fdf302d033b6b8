"""Probing in this very process: a scheduler, a prober, and the judge beside them.

What was seen is judged where it was seen, so that bodies stay here: handed over is the result without its body, and of
a monitor that has long been good only its figures. It is the same whether the overseer sits in this process or at the
other end of a socket.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from laya_uptime.domain.facts import TOLD_HEADERS
from laya_uptime.domain.judge import judge
from laya_uptime.domain.load import Load
from laya_uptime.domain.result import Answer, Evidence, Failure, Observation, Outcome, Result
from laya_uptime.engine.prober import IN_FLIGHT, Prober
from laya_uptime.engine.scheduler import Scheduler, Slot
from laya_uptime.failpoints import fp
from laya_uptime.ports import Clock, Overseer, Reach, Watched

_Look = tuple[Watched, datetime]  # a monitor, and the slot that it has now


class LocalProbing:
    """`ports.Probing` in the loop that it is made in."""

    def __init__(
        self,
        watched: Sequence[Watched],
        overseer: Overseer,
        *,
        via: Reach,
        clock: Clock,
        anchor: float | None = None,
        limit: int = IN_FLIGHT,
    ) -> None:
        """Begin to look once `run` is called, at so many at once at most.

        Phases count from `anchor`, an instant of the clock's `monotonic`; None: from now.
        """
        self._overseer = overseer
        self._watched = {each.monitor.id: each for each in watched}
        self._under_way: dict[str, _Look] = {}
        self._held: deque[_Look] = deque()
        self._is_held = self._is_settling = False
        self._in_full = {each.monitor.id: _news_for(each) for each in watched}  # good results; none left: not there
        self._prober = Prober(via=via, clock=clock, trouble=overseer.trouble)
        self._scheduler = Scheduler(
            [each.monitor for each in watched],
            clock=clock,
            start=self._start,
            passed_over=lambda slot: overseer.slot_over(slot.monitor.id, slot.due),
            crowded=self._tell_of_room,
            limit=limit,
            anchor=anchor,
        )

    @property
    def load(self) -> Load:
        """Return how much there is to do and how late it begins."""
        load, held = self._scheduler.load(), len(self._held)
        if not held:
            return load
        return replace(load, in_flight=load.in_flight - held, waiting=load.waiting + held)

    def is_turning(self, *, within: timedelta) -> bool:
        """Say whether slots have been looked at within this time."""
        return self._scheduler.is_turning(within=within)

    async def run(self) -> None:
        """Look for ever. Raise what ends one of the two that do it; both can be run again."""
        watching = asyncio.ensure_future(self._prober.watch())
        try:
            await self._scheduler.run()
        finally:
            watching.cancel()

    def sooner(self, monitor_id: str) -> None:
        """Look again sooner than the interval says, unless a check is under way already, which will tell."""
        if monitor_id in self._watched:
            self._scheduler.sooner(monitor_id)

    def put(self, watched: Watched) -> None:
        """Look at this monitor from now on, at once and then on its phase; in place of the one that had its id."""
        monitor = watched.monitor
        is_new = monitor.id not in self._watched
        self._watched[monitor.id] = watched
        self._in_full[monitor.id] = _news_for(watched)
        self._prober.forget(monitor.id)
        if is_new:
            self._scheduler.add(monitor)
        else:
            self._scheduler.replace(monitor)

    def remove(self, monitor_id: str) -> None:
        """Look at it no more. What a check under way sees is thrown away."""
        if self._watched.pop(monitor_id, None) is not None:
            self._in_full.pop(monitor_id, None)
            self._prober.forget(monitor_id)
            self._scheduler.remove(monitor_id)

    def pause(self, monitor_id: str) -> None:
        """Begin no more checks of it until `resume`."""
        if monitor_id in self._watched:
            self._scheduler.pause(monitor_id)

    def resume(self, monitor_id: str) -> None:
        """Look at it again, as soon as that delays nothing, and then on its old phase."""
        if monitor_id in self._watched:
            self._scheduler.resume(monitor_id)

    def hold(self) -> None:
        """Begin no checks until `let_go`: nobody takes results at present. Slots that come due wait, and are counted so."""
        self._is_held = True

    def let_go(self) -> None:
        """Begin what has waited, and everything from now on."""
        self._is_held = False
        while self._held and not self._is_held:
            self._begin(self._held.popleft())

    async def settle(self, seconds: float) -> None:
        """Begin no more checks, wait so long for those under way and hand over what they saw; cancel the rest."""
        self._is_settling = True
        self._held.clear()
        await self._prober.settle(seconds)
        for monitor_id, (_, due) in self._under_way.items():
            self._overseer.slot_over(monitor_id, due)
        self._under_way.clear()

    def _tell_of_room(self, load: Load) -> None:
        """Tell that checks wait for others to end, and that they no longer do."""
        if load.is_crowded:
            self._overseer.trouble(
                f"{load.waiting} checks are due and wait for room, the first for {load.waited.total_seconds():.0f} s:"
                f" {load.in_flight} are under way, and no more may be at once"
            )
        else:
            self._overseer.relief(f"No check waits for room any more; {load.late} have begun late since the start")

    def _start(self, slot: Slot) -> None:
        if self._is_settling:
            return
        monitor_id = slot.monitor.id
        watched = self._watched[monitor_id]
        try:
            fp("check.slot_claimed")
        except OSError as error:
            self._overseer.trouble(f"a round of {monitor_id} failed ({type(error).__name__})")
            self._scheduler.finished(slot.monitor, is_suspect=False)
            self._overseer.slot_over(monitor_id, slot.due)
            return
        look = self._under_way[monitor_id] = watched, slot.due
        if self._is_held:
            self._held.append(look)
        else:
            self._begin(look)

    def _begin(self, look: _Look) -> None:
        watched, due = look
        self._prober.start(watched.monitor, watched.check, due, lambda observation: self._done(look, observation))

    def _done(self, look: _Look, observation: Observation) -> None:
        watched, _ = look
        monitor = watched.monitor
        if self._under_way.get(monitor.id) is look:
            del self._under_way[monitor.id]
            self._scheduler.finished(monitor, is_suspect=False)
        if self._watched.get(monitor.id) is not watched:  # another target by now, or none
            self._overseer.slot_over(monitor.id, observation.due)
            return
        verdict = judge(observation, monitor.rules)
        in_full = self._is_news(watched, verdict.outcome)
        self._overseer.seen(Result(observation=_lean(observation, in_full=in_full), verdict=verdict))

    def _is_news(self, watched: Watched, outcome: Outcome) -> bool:
        """Say whether more than the figures of this look may be asked for, and count."""
        id_ = watched.monitor.id
        if outcome is not Outcome.UP:
            self._in_full[id_] = _news_for(watched)
            return True
        left = self._in_full.get(id_, 0)
        if left > 1:
            self._in_full[id_] = left - 1
        elif left:
            del self._in_full[id_]
        return left > 0


def _news_for(watched: Watched) -> int:
    """Return how many good results after a bad one, or after a start, are handed over in full.

    A recovery is told with what the last of them saw. Twice its patience, because a gap makes the count begin anew.
    """
    return 2 * watched.monitor.patience.passes


def _lean(observation: Observation, *, in_full: bool) -> Observation:
    """Return it without what nobody asks for any more once it has been judged."""
    seen = observation.seen
    evidence = _told(seen.evidence) if in_full else _figures(seen.evidence)
    told = Failure(seen.reason, seen.detail, evidence, seen.phase) if isinstance(seen, Failure) else Answer(evidence)
    return Observation(
        monitor_id=observation.monitor_id,
        region=observation.region,
        due=observation.due,
        at=observation.at,
        elapsed=observation.elapsed,
        seen=told,
    )


def _told(evidence: Evidence) -> Evidence:
    """Return what an alert may tell."""
    headers = tuple(header for header in evidence.headers if header[0] in TOLD_HEADERS)
    return replace(evidence, body=None, headers=headers)


def _figures(evidence: Evidence) -> Evidence:
    """Return what is kept of every result, and where it was."""
    return Evidence(address=evidence.address, phases=evidence.phases, status=evidence.status)

"""Roll-ups: judged anew whenever something else is believed of a member, and at their interval.

A group asks nobody. It follows its members within one turn of the loop, through the same pipeline, so that a group has
incidents and alerts like any other monitor. Groups inside groups are judged from the inside out.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from laya_uptime.domain.group import Member, Rule, in_order, roll_up
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Evidence, Failure, Observation, Outcome, Result, Verdict
from laya_uptime.domain.schedule import first_phase, next_due
from laya_uptime.domain.status import Status
from laya_uptime.engine.pipeline import Pipeline
from laya_uptime.ports import Clock, Listener, RollingUp, Watched

_NAP = 1.0  # seconds
_ZERO = timedelta(0)


class Groups:
    """Every roll-up of the service."""

    def __init__(
        self,
        watched: Sequence[Watched],
        *,
        pipeline: Pipeline,
        clock: Clock,
        listener: Listener,
        region: str = "local",
    ) -> None:
        self._members: dict[str, Sequence[str]] = {}
        self._rules: dict[str, Rule] = {}
        for each in watched:
            if isinstance(each.check, RollingUp):
                self._members[each.monitor.id] = each.check.members
                self._rules[each.monitor.id] = each.check.rule
        self._order = in_order(self._members)
        self._above: dict[str, list[str]] = {}
        for group, members in self._members.items():
            for member in members:
                self._above.setdefault(member, []).append(group)
        self._pipeline = pipeline
        self._clock = clock
        self._listener = listener
        self._region = region
        self._changed: set[str] = set()
        self._due: dict[str, timedelta] = {}
        self._news = asyncio.Event()
        self._elapsed: Callable[[], timedelta] = lambda: _ZERO

    def begin(self, *, elapsed: Callable[[], timedelta]) -> None:
        """Follow the members from now on. `elapsed` is the time that rounds are reckoned in."""
        self._elapsed = elapsed
        for group in self._order:
            monitor = self._pipeline.monitors[group]
            self._due[group], _ = next_due(first_phase(monitor) - monitor.every, every=monitor.every, now=elapsed())
        if self._order:
            self._changed.update(self._order)
            self._news.set()
            self._pipeline.believed = self.believed

    def believed(self, monitor_id: str) -> None:
        """Take note that something else is believed of a monitor now."""
        above = self._above.get(monitor_id)
        if above:
            self._changed.update(above)
            self._news.set()

    async def run(self) -> None:
        """Judge for ever."""
        if not self._order:
            return
        while True:
            await self._wait()
            self._news.clear()
            self.turn()

    def turn(self) -> None:
        """Judge every group that something has happened to, and every one that is due."""
        now = self._elapsed()
        for group in self._order:
            monitor = self._pipeline.monitors[group]
            if self._due[group] <= now:
                self._due[group], _ = next_due(self._due[group], every=monitor.every, now=now)
            elif group not in self._changed:
                continue
            self._changed.discard(group)
            self._judge(group, monitor)

    async def _wait(self) -> None:
        """Wait for news, or until a group is due."""
        wait = min(self._due.values()) - self._elapsed()
        pause = asyncio.ensure_future(self._clock.sleep(min(max(wait.total_seconds(), 0.0), _NAP)))
        news = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait({pause, news}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            news.cancel()

    def _judge(self, group: str, monitor: Monitor) -> None:
        members = [self._member(each) for each in self._members[group]]
        if all(member.believed is Status.PENDING for member in members):
            return  # nobody has looked yet; that is no news
        verdict = roll_up(members, self._rules[group])
        now = self._clock.now()
        at = now.replace(microsecond=now.microsecond // 1000 * 1000)
        seen: Answer | Failure = (
            Failure(Reason.INTERNAL, verdict.detail) if verdict.outcome is Outcome.UNKNOWN else Answer(Evidence())
        )
        observation = Observation(monitor_id=group, region=self._region, due=at, at=at, elapsed=_ZERO, seen=seen)
        self._absorb(monitor, observation, verdict)

    def _absorb(self, monitor: Monitor, observation: Observation, verdict: Verdict) -> None:
        result = Result(observation=observation, verdict=verdict)
        self._listener.round_done(self._pipeline.absorb(monitor, [result], elapsed=self._elapsed()))

    def _member(self, monitor_id: str) -> Member:
        state = self._pipeline.states[monitor_id]
        believed = state.health.believed
        well = believed in {Status.UP, Status.PENDING}
        detail = state.incident.detail if state.incident is not None and not well else ""
        return Member(name=self._pipeline.monitors[monitor_id].name, believed=believed, detail=detail)

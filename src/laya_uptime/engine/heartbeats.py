"""Hear what jobs report, keep what must survive, and notice when one stays silent.

A signal is answered once it is durable. While the database fails it still counts, as long as this process lives, and
its sender is told that it was not kept. Deadlines run on the monotonic clock, so setting the wall clock neither makes a
job late nor hides that it is; those of a crontab line wait for the wall clock as well, because the job does too.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from laya_uptime.domain.change import Change, Memory
from laya_uptime.domain.heartbeat import (
    Awaited,
    Kind,
    Pulse,
    Rhythm,
    Signal,
    expect,
    hear,
    miss,
    resume,
    why_failed,
    why_late,
)
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import (
    Answer,
    Evidence,
    Failure,
    Observation,
    Outcome,
    ProgramReport,
    Result,
    Seen,
)
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.status import Status
from laya_uptime.domain.text import cut
from laya_uptime.engine.pipeline import Pipeline
from laya_uptime.failpoints import fp
from laya_uptime.ports import Clock, Listener, Listening, Watched, Write

NAP = 1.0  # seconds; a pause of the whole process is noticed within this time
AWAY_AFTER = timedelta(seconds=3)  # between two turns: nobody could have been heard
PATIENCE = 5.0  # seconds that a sender waits for its signal to be durable
LONGEST_TEXT = 10 * 1024  # UTF-16 units that are kept of what a job says
_ZERO = timedelta(0)


@dataclass(slots=True, kw_only=True)
class _Job:
    """One heartbeat while the service runs. `entry` is the one of its entries in the heap that counts."""

    monitor: Monitor
    rhythm: Rhythm
    pulse: Pulse
    awaited: Awaited
    entry: int = 0


class Heartbeats:
    """Every heartbeat of the service."""

    def __init__(
        self,
        watched: Sequence[Watched],
        *,
        pipeline: Pipeline,
        clock: Clock,
        listener: Listener,
        submit: Callable[[Write], None],
        region: str = "local",
    ) -> None:
        self._rhythms = {each.monitor.id: each.check.rhythm for each in watched if isinstance(each.check, Listening)}
        self._tokens = {each.monitor.id: each.check.token for each in watched if isinstance(each.check, Listening)}
        self._pipeline = pipeline
        self._clock = clock
        self._listener = listener
        self._submit = submit
        self._region = region
        self._jobs: dict[str, _Job] = {}
        self._heap: list[tuple[timedelta, int, str]] = []  # (when, number of the entry, monitor)
        self._entries = 0
        self._anchor = clock.monotonic()
        self._turned: timedelta | None = None
        self._elapsed: Callable[[], timedelta] = lambda: _ZERO
        self._durable: Callable[[], Awaitable[bool]] = _not_yet

    @property
    def tokens(self) -> dict[str, Secret]:
        """Return the token of each heartbeat that has one, by monitor."""
        return {monitor_id: token for monitor_id, token in self._tokens.items() if token is not None}

    @property
    def names(self) -> dict[str, str]:
        """Return the id of each heartbeat by what people call it, and by the id itself."""
        named = {self._pipeline.monitors[id_].name: id_ for id_ in self._rhythms}
        return named | {id_: id_ for id_ in self._rhythms}

    def begin(
        self, memory: Memory, *, at: datetime, elapsed: Callable[[], timedelta], durable: Callable[[], Awaitable[bool]]
    ) -> None:
        """Take up every heartbeat where the last process left it. The pipeline has been restored before.

        `elapsed` is the time that rounds are reckoned in; `durable` returns, soon, whether all that was submitted is
        kept for good.
        """
        self._elapsed, self._durable = elapsed, durable
        for monitor_id, rhythm in self._rhythms.items():
            known = memory.pulses.get(monitor_id) if monitor_id in memory.monitors or memory.pulses else None
            pulse = known or Pulse(since=_whole_ms(at))
            job = _Job(
                monitor=self._pipeline.monitors[monitor_id], rhythm=rhythm, pulse=pulse, awaited=expect(rhythm, pulse)
            )
            self._jobs[monitor_id] = job
            if known is None:
                self._submit(Change(monitor_id=monitor_id, pulse=pulse))
                self._arm(job)
            else:
                self._come_back(job, away_since=min(memory.seen_at or at, at), back=at)

    async def hear(self, monitor_id: str, kind: Kind, *, text: str = "", exit_code: int | None = None) -> bool:
        """Take a signal and return, soon, whether it is kept for good; it counts either way. Raise KeyError for no heartbeat."""
        fp("heartbeat.parsed")
        job = self._jobs[monitor_id]
        signal = Signal(kind=kind, at=_whole_ms(self._clock.now()), text=cut(text, LONGEST_TEXT), exit_code=exit_code)
        heard = hear(job.pulse, signal)
        job.pulse = heard.pulse
        if heard.outcome is None:
            self._submit(Change(monitor_id=monitor_id, pulse=job.pulse))
        else:
            report = ProgramReport(
                outcome=heard.outcome, text=signal.text if heard.outcome is Outcome.UP else why_failed(signal)
            )
            self._absorb(
                job, Answer(Evidence(report=report, said=signal.text)), due=signal.at, took=heard.took or _ZERO
            )
        if kind is not Kind.LOG:
            job.awaited = expect(job.rhythm, job.pulse)
            self._arm(job)
        kept = await self._durable()
        fp("heartbeat.committed")
        return kept

    async def run(self) -> None:
        """Notice for ever what stays away."""
        while True:
            self.turn()
            wait = (self._heap[0][0] - self._now()).total_seconds() if self._heap else NAP
            await self._clock.sleep(min(max(wait, 0.0), NAP))

    def turn(self) -> None:
        """Tell what is late by now; or, where we were not there for a while, begin to wait again."""
        now = self._now()
        before, self._turned = self._turned, now
        if before is not None and now - before > AWAY_AFTER:
            back = self._clock.now()
            for job in self._jobs.values():
                self._come_back(job, away_since=back - (now - before), back=back)
        while self._heap and self._heap[0][0] <= now:
            _, entry, monitor_id = heapq.heappop(self._heap)
            job = self._jobs[monitor_id]
            if job.entry != entry:
                continue  # something was heard meanwhile
            if job.rhythm.cron and self._clock.now() < job.awaited.deadline - timedelta(seconds=NAP):
                self._arm(job)  # the wall clock was set back, and the job waits for it as well
                continue
            self._tell_late(job)

    def _tell_late(self, job: _Job) -> None:
        at = self._clock.now()
        detail = why_late(job.rhythm, job.awaited, at=at)
        deadline, before = job.awaited.deadline, job.pulse
        # On the monotonic clock it is over; where the wall clock disagrees, the run must not be found late once more.
        job.pulse, job.awaited = miss(job.rhythm, job.pulse, job.awaited, now=max(at, deadline))
        self._absorb(
            job,
            Failure(Reason.HEARTBEAT_LATE, detail),
            due=deadline,
            took=_ZERO,
            pulse=job.pulse if job.pulse != before else None,
        )
        self._arm(job)

    def _absorb(self, job: _Job, seen: Seen, *, due: datetime, took: timedelta, pulse: Pulse | None = None) -> None:
        observation = Observation(
            monitor_id=job.monitor.id,
            region=self._region,
            due=_whole_ms(due),
            at=_whole_ms(self._clock.now()),
            elapsed=took,
            seen=seen,
        )
        result = Result(observation=observation, verdict=judge(observation, job.monitor.rules))
        if isinstance(seen, Answer):
            pulse = job.pulse
        round_ = self._pipeline.absorb(job.monitor, [result], elapsed=self._elapsed(), pulse=pulse)
        self._listener.round_done(round_)

    def _come_back(self, job: _Job, *, away_since: datetime, back: datetime) -> None:
        status = self._pipeline.states[job.monitor.id].health.status
        before = job.pulse
        job.pulse, job.awaited = resume(
            job.rhythm,
            job.pulse,
            job.awaited,
            away_since=away_since,
            back=_whole_ms(back),
            is_down=status in {Status.DOWN, Status.SUSPECT},
        )
        if job.pulse != before:
            self._submit(Change(monitor_id=job.monitor.id, pulse=job.pulse))
        self._arm(job)

    def _arm(self, job: _Job) -> None:
        self._entries += 1
        job.entry = self._entries
        when = self._now() + (job.awaited.deadline - self._clock.now())
        heapq.heappush(self._heap, (when, job.entry, job.monitor.id))

    def _now(self) -> timedelta:
        return timedelta(seconds=self._clock.monotonic() - self._anchor)


async def within(beat: Awaitable[None], seconds: float = PATIENCE) -> bool:
    """Return whether it was done within the time."""
    try:
        async with asyncio.timeout(seconds):
            await beat
    except TimeoutError:
        return False
    return True


async def _not_yet() -> bool:
    return False


def _whole_ms(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)

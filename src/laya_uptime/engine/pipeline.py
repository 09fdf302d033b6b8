"""The journey of one judged round: agree, step, follow, alerts_due. All it decides is one Change, written whole.

Nothing here waits: the change goes to the writer, which commits it, and the state in memory is already the new one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from laya_uptime.domain.alert import Statistics, Transition
from laya_uptime.domain.change import Change, Memory, Remembered, Span
from laya_uptime.domain.facts import facts_of, own_facts
from laya_uptime.domain.heartbeat import Pulse
from laya_uptime.domain.incident import Closing, Followed, Incident, Severity, close, follow
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.quorum import agree
from laya_uptime.domain.result import Outcome, Result, Verdict
from laya_uptime.domain.routing import address, alerts_due
from laya_uptime.domain.schedule import is_stale
from laya_uptime.domain.status import Health, Status, fresh, lose_sight, step
from laya_uptime.engine.state import State
from laya_uptime.ports import Listener, Round, Write

_LARGE = 16 * 1024  # bytes of a body
_TICK = timedelta(milliseconds=1)  # the store keeps no less


class Pipeline:
    """Takes what was seen and says what follows from it."""

    def __init__(
        self,
        monitors: Sequence[Monitor],
        channels: Sequence[str],
        *,
        submit: Callable[[Write], None],
        listener: Listener,
        local: Callable[[datetime], datetime],
    ) -> None:
        self.monitors = {monitor.id: monitor for monitor in monitors}
        self.states: dict[str, State] = {}
        self.believed: Callable[[str], None] = lambda _monitor_id: None  # hears of each monitor believed otherwise now
        self._channels = tuple(channels)
        self._submit = submit
        self._listener = listener
        self._local = local

    def restore(self, memory: Memory, *, at: datetime, elapsed: timedelta) -> None:
        """Take up every monitor where the last process left it.

        Time in which no process was there is unknown, unless it was too short for a round to be missed. A monitor
        that is gone, or that now watches something else, has its incident closed for that reason.
        """
        left_at = min(memory.seen_at or at, at)
        for monitor in self.monitors.values():
            remembered = memory.monitors.get(monitor.id)
            if remembered is None:
                self.states[monitor.id] = State(health=fresh(at), seen=elapsed, seen_at=at)
                continue
            if remembered.target != monitor.target:
                remembered = self._forget(
                    monitor.id, remembered, left_at, at, why=Closing.TARGET_CHANGED, target=monitor.target
                )
            self.states[monitor.id] = State(
                health=remembered.health,
                seq=remembered.seq,
                incident=remembered.incident,
                seen=elapsed,
                seen_at=at,
            )
            if at - left_at > monitor.every:
                self._lose_sight(monitor, since=max(left_at, remembered.health.believed_since))
            if remembered.incident is not None and remembered.incident.severity is Severity.DOWN:
                self._listener.resumed(monitor, remembered.incident)
        for monitor_id, remembered in memory.monitors.items():
            if monitor_id not in self.monitors:
                self._let_go(monitor_id, remembered, left_at, at)

    def absorb(
        self, monitor: Monitor, results: Sequence[Result], *, elapsed: timedelta, pulse: Pulse | None = None
    ) -> Round:
        """Follow one round, one result for each region, to whatever it implies. Hand that to the writer and return it.

        `pulse` is what a heartbeat knows from now on; it is written with the round, or not at all.
        """
        state = self.states[monitor.id]
        decisive = results[0] if len(results) == 1 else _decisive(results, quorum=monitor.quorum)
        verdict = decisive.verdict
        was_seen = verdict.outcome is not Outcome.UNKNOWN
        if was_seen and _was_left_alone(monitor, state, elapsed):  # as after a suspend
            self._lose_sight(monitor, since=max(state.seen_at, state.health.believed_since))
        before, stored = state.health, state.incident
        at = _instant(decisive, state)
        if was_seen:
            state.incident = stored and _with_blind_time(stored, before, at)
            state.seen, state.seen_at = elapsed, at
        state.health = step(before, verdict.outcome, at=at, patience=monitor.patience)
        state.tally.count(decisive.observation, verdict)
        state.is_new, state.reason = False, verdict.reason
        followed = self._follow(monitor, state, verdict, at)
        state.incident = followed.current
        round_ = Round(monitor=monitor, result=decisive, health=state.health, followed=followed)
        self._record(state, before, stored, tuple([_to_keep(result) for result in results]), round_, pulse)
        if state.health.believed is not before.believed:
            self.believed(monitor.id)
        return round_

    def watch_for_blindness(self, among: Iterable[Monitor] | None = None, *, at: datetime, elapsed: timedelta) -> None:
        """Believe nothing any more of monitors, all or these, that nobody has seen for three intervals."""
        for monitor in self.monitors.values() if among is None else among:
            state = self.states[monitor.id]
            if _was_left_alone(monitor, state, elapsed):
                self._lose_sight(monitor, since=max(min(state.seen_at, at), state.health.believed_since))

    def _follow(self, monitor: Monitor, state: State, verdict: Verdict, at: datetime) -> Followed:
        if verdict.outcome is Outcome.UNKNOWN:
            return Followed(current=state.incident)
        return follow(
            state.incident,
            state.health,
            verdict,
            monitor_id=monitor.id,
            at=at,
            remind_every=monitor.remind_every,
        )

    def _record(
        self,
        state: State,
        before: Health,
        stored: Incident | None,
        results: tuple[Result, ...],
        round_: Round,
        pulse: Pulse | None,
    ) -> None:
        monitor, followed, health = round_.monitor, round_.followed, state.health
        if health is before and state.seq and stored is followed.current is None and followed.closed is None:
            # As nearly always: all is as good as it was.
            self._submit(Change(monitor_id=monitor.id, results=results, pulse=pulse))
            return
        transition, about = followed.transition, followed.about
        facts = None
        if transition is not None and about is not None:
            statistics = state.tally.statistics(consecutive_failures=health.consecutive_failures)
            facts = facts_of(monitor, round_.result, transition, about, statistics, local=self._local)
        alerts = alerts_due(transition, about, facts=facts, channels=self._channels, at=round_.result.observation.at)
        changed = tuple(each for each in (followed.closed, followed.current) if each is not None and each != stored)
        seq = self._next_seq(state, before)
        self._submit(
            Change(
                monitor_id=monitor.id,
                results=results,
                health=None if seq is None else health,
                seq=seq,
                span=_new_span(before, health, round_.result.verdict, followed),
                incidents=changed,
                alerts=alerts,
                # The store knows the target of a monitor from before its first status, and that may have changed.
                target=monitor.target if seq == 0 else None,
                pulse=pulse,
            )
        )

    def _next_seq(self, state: State, before: Health) -> int | None:
        """Return the number that the stored status has now, and count on; None where nothing of it changes."""
        if state.seq and state.health == before:
            return None
        seq, state.seq = state.seq, state.seq + 1
        return seq

    def _lose_sight(self, monitor: Monitor, *, since: datetime) -> None:
        state = self.states[monitor.id]
        before = state.health
        state.health = lose_sight(before, since=since)
        if state.health is before:
            return
        seq = self._next_seq(state, before)
        self._submit(
            Change(
                monitor_id=monitor.id,
                health=None if seq is None else state.health,
                seq=seq,
                span=Span(outcome=Status.UNKNOWN, started=since, detail="nobody looked"),
            )
        )
        self.believed(monitor.id)

    def _let_go(self, monitor_id: str, remembered: Remembered, left_at: datetime, at: datetime) -> None:
        """Believe nothing of a monitor that is gone: should it come back, what was before is no news of then."""
        is_forgotten = remembered.health.is_out_of_sight and remembered.health.status is Status.PENDING
        if remembered.incident is not None or not is_forgotten:
            self._forget(monitor_id, remembered, left_at, at, why=Closing.MONITOR_REMOVED)

    def _forget(
        self,
        monitor_id: str,
        remembered: Remembered,
        left_at: datetime,
        at: datetime,
        *,
        why: Closing,
        target: str | None = None,
    ) -> Remembered:
        """Begin afresh: what was known is of another target, or of a time before the monitor was taken out."""
        before = remembered.health
        since = before.believed_since if before.is_out_of_sight else max(left_at, before.believed_since)
        health = Health(since=since, believed=Status.UNKNOWN, believed_since=since)
        if remembered.incident is not None:
            self._end(monitor_id, _with_blind_time(remembered.incident, health, at), at=at, why=why)
        self._submit(
            Change(
                monitor_id=monitor_id,
                health=health,
                seq=remembered.seq,
                span=Span(outcome=Status.UNKNOWN, started=since, detail=_UNSEEN[why]),
                target=target,
            )
        )
        return replace(remembered, health=health, seq=remembered.seq + 1, incident=None)

    def _end(self, monitor_id: str, incident: Incident, *, at: datetime, why: Closing) -> None:
        """Close an incident from outside. Who was told that it began is told that it is over, and why."""
        ended = close(incident, at=max(at, incident.opened_at), why=why)
        message = _ENDED[why]
        facts = replace(
            own_facts(message, detail=message, at=self._local(at), is_good=True),
            service=self.monitors[monitor_id].name if monitor_id in self.monitors else monitor_id,
            monitor_id=monitor_id,
            statistics=Statistics(),
            first_failure=self._local(incident.down_at or incident.opened_at),
        )
        self._submit(
            Change(
                monitor_id=monitor_id,
                incidents=(ended,),
                alerts=tuple(
                    address(
                        ended.id,
                        Transition.RECOVERED,
                        0,
                        channel,
                        facts=facts,
                        at=at,
                        decision=(f"incident {ended.id} was closed: {why}", f"channel {channel} heard that it began"),
                    )
                    for channel in self._channels
                ),
            )
        )


_ENDED = {
    Closing.TARGET_CHANGED: "Incident closed: the monitor now watches another target",
    Closing.MONITOR_REMOVED: "Incident closed: the service is not monitored any more",
    Closing.RECOVERED: "Service recovered",
}
_UNSEEN = {
    Closing.TARGET_CHANGED: "watches another target now",
    Closing.MONITOR_REMOVED: "not monitored any more",
}


def _to_keep(result: Result) -> Result:
    """Return what waits for its commit: a large body does not, or those of one second could fill the memory."""
    body = result.observation.seen.evidence.body
    return result if body is None or body.size <= _LARGE else result.measured()


def _decisive(results: Sequence[Result], *, quorum: int) -> Result:
    verdict = agree([result.verdict for result in results], quorum=quorum)
    return next(result for result in results if result.verdict is verdict)


def _was_left_alone(monitor: Monitor, state: State, elapsed: timedelta) -> bool:
    """Say whether nobody has looked for so long that nothing is known of the time since."""
    # Stale is far later than an interval, and whether that has passed is quickly said.
    return elapsed - state.seen > monitor.every and is_stale(
        last_seen=state.seen, every=monitor.every, timeout=monitor.timeout, now=elapsed
    )


def _instant(decisive: Result, state: State) -> datetime:
    """Return when the round counts as seen.

    A wall clock that was set back must put news neither before what is believed already nor two of them at one
    instant: that is what incidents are known by.
    """
    at = max(decisive.observation.at, state.health.believed_since, state.health.since)
    return at if state.is_new else max(at, state.seen_at + _TICK)


def _with_blind_time(incident: Incident, before: Health, at: datetime) -> Incident:
    """Add the time in which nobody looked to the incident that was open meanwhile."""
    if not before.is_out_of_sight:
        return incident
    blind_since = max(before.believed_since, incident.down_at or incident.opened_at)
    return replace(incident, unseen=incident.unseen + max(at - blind_since, timedelta(0)))


def _new_span(before: Health, after: Health, verdict: Verdict, followed: Followed) -> Span | None:
    if after.believed is before.believed and after.believed_since == before.believed_since:
        return None
    return Span(
        outcome=after.believed,
        started=after.believed_since,
        err=None if verdict.reason is None else str(verdict.reason),
        detail=verdict.detail,
        incident_id=followed.current.id if followed.current else None,
    )

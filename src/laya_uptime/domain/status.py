"""step(): the only place where a status changes.

A monitor believes news that repeats. `suspect` and `recovering` are the waiting rooms between up and down; people
never see them: what they see is `Health.believed`, which moves only when a waiting room is left, and then counts
from the first round that was right.

              pass                  pass x passes
        ┌──────────────┐      ┌────────────────────┐
     up/degraded ──> suspect ──> down ──> recovering
        └── failure ──┘  failures x n └── pass ─┘ └─ failure: down again, the same outage
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from laya_uptime.domain.monitor import Patience
from laya_uptime.domain.result import Outcome


class Status(StrEnum):
    """Where a monitor stands. Suspect and recovering are never shown."""

    PENDING = "pending"
    UP = "up"
    DEGRADED = "degraded"
    SUSPECT = "suspect"
    DOWN = "down"
    RECOVERING = "recovering"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is known of a monitor after some rounds.

    `status` may be a waiting room and is never unknown; `streak` counts the rounds in it that agree, so in suspect
    and down it is the number of consecutive failures. `since` is when the first of them was seen.
    `believed` is what people see, `believed_since` from when on.
    """

    status: Status = Status.PENDING
    streak: int = 0
    since: datetime
    believed: Status = Status.PENDING
    believed_since: datetime

    @property
    def is_out_of_sight(self) -> bool:
        """Say whether nobody has seen the monitor since it is believed unknown."""
        # After the first round that somebody saw it is believed again, or in a waiting room.
        return self.believed is Status.UNKNOWN and self.status not in _WITHOUT_SIGHT

    @property
    def consecutive_failures(self) -> int:
        """Return how many of the latest rounds failed in a row."""
        return self.streak if self.status is Status.SUSPECT or self.status is Status.DOWN else 0


_AFTER_FAILURE = {
    Status.PENDING: Status.SUSPECT,
    Status.UP: Status.SUSPECT,
    Status.DEGRADED: Status.SUSPECT,
    Status.SUSPECT: Status.SUSPECT,
    Status.DOWN: Status.DOWN,
    Status.RECOVERING: Status.DOWN,
}
_PASSING = {Outcome.UP: Status.UP, Outcome.DEGRADED: Status.DEGRADED}
_WITHOUT_SIGHT = {Status.SUSPECT: Status.PENDING, Status.RECOVERING: Status.DOWN}


def fresh(at: datetime) -> Health:
    """Return the health of a monitor that nobody has looked at yet."""
    return Health(since=at, believed_since=at)


def step(health: Health, outcome: Outcome, *, at: datetime, patience: Patience) -> Health:
    """Return the health after one more round. A round that nobody saw changes nothing."""
    if outcome is Outcome.UNKNOWN:
        return health
    if outcome is Outcome.DOWN:
        return _after_failure(health, at, patience)
    return _after_pass(health, _PASSING[outcome], at, patience)


def lose_sight(health: Health, *, since: datetime) -> Health:
    """Return the health of a monitor that nobody has seen since then: believed unknown.

    Rounds on both sides of a gap are not in a row, so a waiting room is left: what was about to be confirmed begins
    anew, and can never be dated back into the gap.
    """
    status = _WITHOUT_SIGHT.get(health.status)
    if status is not None:
        return Health(status=status, since=since, believed=Status.UNKNOWN, believed_since=since)
    if health.believed is Status.UNKNOWN:
        return health
    return replace(health, believed=Status.UNKNOWN, believed_since=since)


def _after_failure(health: Health, at: datetime, patience: Patience) -> Health:
    status = _AFTER_FAILURE[health.status]
    same = status is health.status
    since, streak = (health.since, health.streak + 1) if same else (at, 1)
    if status is Status.SUSPECT and streak >= patience.failures:
        # Down counts from the first failure, not from the one that convinced us; but never reaches back into a
        # time when nobody looked.
        return _settle(health, Status.DOWN, streak, since)
    if status is Status.DOWN and health.believed is Status.UNKNOWN:
        return replace(_settle(health, Status.DOWN, streak, at), since=since)
    return replace(health, status=status, streak=streak, since=since)


def _after_pass(health: Health, passing: Status, at: datetime, patience: Patience) -> Health:
    if health.status is passing and health.believed is passing:
        return health
    if health.status in {Status.DOWN, Status.RECOVERING}:
        same = health.status is Status.RECOVERING
        since, streak = (health.since, health.streak + 1) if same else (at, 1)
        if streak < patience.passes:
            return replace(health, status=Status.RECOVERING, streak=streak, since=since)
        return _settle(health, passing, 0, since)
    return _settle(health, passing, 0, at)


def _settle(health: Health, status: Status, streak: int, since: datetime) -> Health:
    # Returning from suspicion to what was believed all along is no news, so that belief keeps its age.
    believed_since = health.believed_since if health.believed is status else max(since, health.believed_since)
    return Health(status=status, streak=streak, since=since, believed=status, believed_since=believed_since)

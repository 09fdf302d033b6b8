"""next_due(): a stable phase that spreads the load, and due times that never drift.

All due times of a process are offsets from one anchor, its start, on the monotonic clock. They are exact (a `timedelta`
counts whole microseconds, an int whatever it is told to), so the millionth slot of a monitor is where arithmetic puts it.
"""

from datetime import timedelta
from hashlib import sha256
from typing import TypeVar

from laya_uptime.domain.monitor import Monitor

Span = TypeVar("Span", timedelta, int)  # what the caller counts time in


def first_phase(monitor: Monitor) -> timedelta:
    """Return when the first regular slot comes due after the check at start: more than zero, at most the interval.

    Spread by hash, not by chance: a random offset moves on every restart, and a fleet restarted together would
    then probe every target in the same second. Monitors that run `in_step` are due at whole intervals.
    """
    if monitor.in_step:
        return monitor.every
    digest = int.from_bytes(sha256(monitor.id.encode()).digest()[:8], "big")
    return monitor.every - timedelta(microseconds=digest % (monitor.every // timedelta(microseconds=1)))


def next_due(due: Span, *, every: Span, now: Span) -> tuple[Span, int]:
    """Return the next slot after `due` that is not past yet, and how many slots were passed over on the way.

    A slot that comes due exactly now is not past. Slots are passed over only when the process itself was held up
    (asleep, starved, without room): they are counted, never caught up in a burst.
    """
    following = due + every
    if following >= now:
        return following, 0
    missed = -((following - now) // every)
    return following + missed * every, missed


def is_stale(*, last_seen: timedelta, every: timedelta, timeout: timedelta, now: timedelta) -> bool:
    """Say whether nobody has seen a monitor for three intervals, so that its status is not known any more.

    A check that takes its whole timeout is still a look: where that is longer than the interval, it is waited for.
    """
    return now - last_seen > max(3 * every, 2 * every + timeout)

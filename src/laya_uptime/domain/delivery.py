"""When to try a channel again: exponential back-off with jitter, a receiver's own wish, and an end."""

from datetime import datetime, timedelta

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=15)
_DOUBLINGS = 10  # beyond these the longest wait applies anyway, and the power stays small


def next_try(
    *, attempts: int, at: datetime, expires_at: datetime, chance: float, asked: timedelta | None
) -> datetime | None:
    """Return when to try again after `attempts` failed attempts; None when the deadline would have passed.

    The wait doubles from 5 s up to 15 min, and `chance` (0 up to 1) picks a point in its upper half, so that many
    alerts for one channel do not come back in the same second. What the receiver asked for (Retry-After) is a
    lower bound. The last attempt is made at the deadline rather than given up before it.
    """
    wait = min(FIRST_WAIT * (1 << min(attempts - 1, _DOUBLINGS)), LONGEST_WAIT)
    wait = wait / 2 + wait / 2 * chance
    due = at + max(wait, asked or timedelta(0))
    if due <= expires_at:
        return due
    return expires_at if at < expires_at else None

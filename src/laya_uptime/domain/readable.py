"""Measured things as people read them, exactly: nothing is left out of a text, what cannot be seen is escaped.

`text.one_line` is for prose, where a line break is as good as a space. Evidence must show the difference.
"""

from datetime import timedelta

_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


def escaped(text: str, limit: int) -> str:
    """Return the text with everything unprintable written as an escape, at most `limit` characters."""
    head = text[: limit + 1]
    if not head.isprintable():
        head = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in head)
    return head if len(head) <= limit else f"{head[: limit - 1]}…"


def in_words(duration: timedelta) -> str:
    """Return a measured duration as people read it: "412 ms", "1.5 s", "12 min", "3.5 h" or "6 days"."""
    if duration.days == 0 == duration.seconds:
        return f"{_trimmed(duration.microseconds / 1000, 1)} ms"
    if duration.days < 0:
        return f"-{in_words(-duration)}"
    if duration < 2 * _MINUTE:
        return f"{_trimmed(duration / _SECOND, 2)} s"
    if duration < 2 * _HOUR:
        return f"{_trimmed(duration / _MINUTE, 1)} min"
    if duration < 2 * _DAY:
        return f"{_trimmed(duration / _HOUR, 1)} h"
    return f"{_trimmed(duration / _DAY, 1)} days"


def _trimmed(number: float, decimals: int) -> str:
    text = f"{number:.{decimals}f}"
    return text.rstrip("0").rstrip(".")

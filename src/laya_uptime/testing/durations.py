"""Durations as tests write them: "500ms", "30s", "5m", "2h", "1d"."""

import re
from datetime import timedelta

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def duration(text: str | timedelta) -> timedelta:
    """Return the duration that the text names; a timedelta is returned as it is. Raise ValueError for anything else."""
    if isinstance(text, timedelta):
        return text
    found = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text)
    if found is None:
        message = f"{text!r} is not a duration like 500ms, 30s, 5m, 2h or 1d"
        raise ValueError(message)
    return int(found[1]) * _UNITS[found[2]]

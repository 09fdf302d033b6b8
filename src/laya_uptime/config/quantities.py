"""Durations and sizes as people write them, with limits: `500ms`, `30s`, `5m`, `6h`, `14d`; `10MB`, `512KiB`.

A number without its unit is an error and never a guess: five what?
"""

import re
from dataclasses import dataclass
from datetime import timedelta

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_SIZES = {"B": 1, "kB": 1000, "KB": 1000, "KiB": 1024, "MB": 1000**2, "MiB": 1024**2, "GB": 1000**3, "GiB": 1024**3}
_USUAL = (timedelta(seconds=10), timedelta(days=14), timedelta(days=90))

DURATION = r"[0-9]{1,12}(?:\.[0-9]{1,6})?(?:ms|s|m|h|d)"
WHOLE_SECONDS = r"[0-9]{1,12}(?:s|m|h|d)"
SIZE = r"[0-9]{1,12}(?:B|kB|KB|KiB|MB|MiB|GB|GiB)"


class Unfit(ValueError):
    """A value that cannot be used: what is wrong, and what to write instead.

    `offset` is the index of the character that is wrong, None where the whole value is.
    """

    def __init__(self, what: str, remedy: str = "", *, offset: int | None = None) -> None:
        """Keep each part on its own."""
        self.what = what
        self.remedy = remedy
        self.offset = offset
        super().__init__(f"{what}. {remedy}".rstrip())


@dataclass(frozen=True, slots=True)
class Span:
    """The durations that a setting takes, both ends included. `whole`: whole seconds only."""

    least: timedelta
    most: timedelta
    whole: bool = False

    def __str__(self) -> str:
        """Return e.g. "in whole seconds from 1s to 365d"."""
        return f"{'in whole seconds ' if self.whole else ''}from {written(self.least)} to {written(self.most)}"

    def read(self, value: object, shown: str) -> timedelta:
        """Return the duration that was written. Raise Unfit, naming it as `shown`, for anything that does not fit."""
        if _is_number(value) or (isinstance(value, str) and re.fullmatch(r"[-+]?[0-9.]+", value)):
            raise self._unfit(f"the duration {shown} has no unit")
        if not isinstance(value, str) or not re.fullmatch(f"-?{DURATION}", value):
            raise self._unfit(f"{shown!r} is not a duration")
        if value.startswith("-"):
            raise self._unfit(f"the duration {shown} is negative")
        unit = value.lstrip("0123456789.")
        try:
            duration = float(value.removesuffix(unit)) * _UNITS[unit]
        except OverflowError:
            duration = timedelta.max
        if not self.least <= duration <= self.most:
            raise self._unfit(f"the duration {shown} is out of range")
        if self.whole and duration % timedelta(seconds=1):
            raise self._unfit(f"the duration {shown} is not in whole seconds")
        return duration

    def _unfit(self, what: str) -> Unfit:
        usual = next((duration for duration in _USUAL if self.least <= duration <= self.most), self.least)
        example = written(usual)
        return Unfit(what, f"Write a number and its unit (ms, s, m, h or d), {self}, for example {example}.")


@dataclass(frozen=True, slots=True)
class Bytes:
    """The sizes that a setting takes, in bytes, both ends included. It stands beside an `int`."""

    least: int
    most: int

    def read(self, value: object, shown: str) -> int:
        """Return the bytes that were written. Raise Unfit, naming it as `shown`, for anything that does not fit."""
        limits = f"from {size_written(self.least)} to {size_written(self.most)}"
        remedy = f"Write a number and its unit (B, kB, MB, GB, KiB, MiB or GiB), {limits}, for example 10MB."
        if _is_number(value) or (isinstance(value, str) and re.fullmatch(r"[-+]?[0-9.]+", value)):
            raise Unfit(f"the size {shown} has no unit", remedy)
        if not isinstance(value, str) or not re.fullmatch(SIZE, value):
            raise Unfit(f"{shown!r} is not a size", remedy)
        unit = value.lstrip("0123456789")
        size = int(value.removesuffix(unit)) * _SIZES[unit]
        if not self.least <= size <= self.most:
            raise Unfit(f"the size {shown} is out of range", remedy)
        return size


def written(duration: timedelta) -> str:
    """Return a duration in the largest unit that leaves a whole number, e.g. "90s" or "14d"; one minute is "60s"."""
    if duration in {timedelta(0), _UNITS["m"]}:
        return f"{duration // _UNITS['s']}s"
    for unit, worth in reversed(_UNITS.items()):
        if not duration % worth:
            return f"{duration // worth}{unit}"
    return f"{duration / _UNITS['ms']:g}ms"


def size_written(size: int) -> str:
    """Return a size in the largest unit that leaves a whole number, e.g. "10MB"."""
    for unit in ("GB", "MB", "kB"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]}{unit}"
    return f"{size}B"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

"""Everything laya-uptime raises on purpose, drawn as one tree.

LayaUptimeError
├── ConfigError          what was asked for cannot be used: exit 2
├── DataDirectoryError   the data directory is in use or cannot be written: exit 2
├── StoreError           the database did not take or give something
│   ├── StoreCorrupt     the file is no sound database of ours
│   └── StoreTooNew      written by a newer version: exit 2
├── ProbingLost          whoever looked at monitors is gone or hangs
├── BlockedByPolicy      the egress policy forbids this address
├── DeliveryError        a channel did not accept an alert
└── Fault (ports.py)     a connection that failed, carrying what was seen
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta


class LayaUptimeError(Exception):
    """The root of the tree. Its text is for people and never holds a secret."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in what somebody configured: where it is, what is wrong, and what to do."""

    where: str  # "monitors.yaml:12:5", "CHECK_INTERVAL", "--interval"
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        """Return "where: what. remedy." on one line."""
        what = self.what if self.what.endswith((".", "?", "!")) else f"{self.what}."
        return f"{self.where}: {what} {self.remedy}".rstrip()


class ConfigError(LayaUptimeError):
    """What was configured cannot be used. It carries every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep the problems in the order in which a reader meets them."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DataDirectoryError(LayaUptimeError):
    """The data directory is in use by another process, or cannot be written."""


class StoreError(LayaUptimeError):
    """The database did not take or give something. Monitoring goes on without it."""


class StoreCorrupt(StoreError):
    """The file is not a sound database of ours."""


class StoreTooNew(StoreError):
    """The database was written by a newer version, so this one keeps its hands off."""


class ProbingLost(LayaUptimeError):
    """Whoever looked at monitors is gone or hangs: for a while nobody looks. It says nothing about any target."""


class BlockedByPolicy(LayaUptimeError):
    """The egress policy forbids connecting to this address."""


class DeliveryError(LayaUptimeError):
    """A channel did not accept an alert.

    `retry` tells whether trying again can help. `after` is the wait that the receiver asked for (Retry-After),
    None where it asked for nothing.
    """

    def __init__(self, cause: str, *, retry: bool, after: timedelta | None = None) -> None:
        """Keep a short plain cause without secrets."""
        self.cause = cause
        self.retry = retry
        self.after = after
        super().__init__(cause)

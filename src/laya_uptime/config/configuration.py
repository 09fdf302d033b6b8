"""Configuration: a whole file, understood. It exists only where nothing in the file is wrong."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.errors import Problem
from laya_uptime.ports import Channel, Watched

MOST_LOGGED = 100  # monitors whose checks all have a log line, if nobody says otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Where the program's own log goes. `file` None: to standard output alone."""

    file: str | None = None
    format: Literal["text", "json"] = "text"
    max_size: int = 10_000_000  # bytes at which the file rotates
    keep: int = 5  # full files that are kept
    checks: Literal["every", "changes"] | None = None  # which checks have a line; None: as suits their number


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What one file asks for. `warnings` is what works and should still be looked at."""

    source: str
    site_name: str
    timezone: ZoneInfo
    monitors: tuple[Watched, ...]
    channels: tuple[Channel, ...]
    egress: EgressPolicy = field(default_factory=EgressPolicy)
    log: LogSettings = field(default_factory=LogSettings)
    retention: timedelta = timedelta(days=90)  # of single results
    listen: tuple[str, int] = ("127.0.0.1", 8484)
    warnings: tuple[Problem, ...] = ()

    @property
    def logs_every_check(self) -> bool:
        """Say whether each check has a log line: as the file says, else as long as somebody could read them."""
        if self.log.checks is None:
            return len(self.monitors) <= MOST_LOGGED
        return self.log.checks == "every"

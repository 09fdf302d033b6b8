"""The status report: SEED's block of lines, by simple counts of checks since start."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from laya_uptime.domain.reason import Reason
from laya_uptime.domain.statistics import Tally
from laya_uptime.domain.status import Health, Status
from laya_uptime.domain.text import cut, one_line
from laya_uptime.domain.wording import clock_text

_RULE = "=" * 80
_SIGN = {"healthy": "✓", "degraded": "⚠", "unhealthy": "✗", "down": "✗", "unknown": "?"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One service in a report."""

    name: str
    status: str  # healthy, degraded, unhealthy, down, unknown
    tally: Tally


def status_word(health: Health, reason: Reason | None) -> str:
    """Return what a report calls a service: healthy, degraded, unhealthy (by its own word), down or unknown.

    `reason` is that of the latest result.
    """
    match health.believed:
        case Status.UP:
            return "healthy"
        case Status.DEGRADED:
            return "degraded"
        case Status.DOWN:
            return "unhealthy" if reason is Reason.REPORTED_UNHEALTHY else "down"
        case Status.PENDING | Status.UNKNOWN | Status.SUSPECT | Status.RECOVERING:
            return "unknown"


def report(lines: Sequence[Line], *, uptime: timedelta) -> str:
    """Return the whole block. `uptime` is how long laya-uptime itself has been running."""
    rows = [
        f"{_SIGN[line.status]} {cut(one_line(line.name), 20):20} | Status: {line.status:10} | "
        f"Uptime: {line.tally.uptime_percentage:6.2f}% | "
        f"Failures: {line.tally.failures:3d}/{line.tally.checks:3d} | Avg RT: {line.tally.average_ms:5d}ms"
        for line in lines
    ]
    return "\n".join([_RULE, f"Status Report - Uptime: {clock_text(uptime)}", _RULE, *rows, _RULE])

"""Counts of checks since this start, as SEED's report and payload show them.

They are simple counts on purpose; uptime weighted by time comes from the stored spans.
"""

from dataclasses import dataclass
from datetime import timedelta

from laya_uptime.domain.alert import Statistics
from laya_uptime.domain.result import Observation, Outcome, Verdict

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(slots=True, kw_only=True)
class Tally:
    """The running counts of one monitor. A round that nobody saw is not counted.

    It changes where it is, because every result of every monitor is counted in it.
    """

    checks: int = 0
    failures: int = 0
    answered: int = 0
    latency: timedelta = timedelta(0)  # summed over answered checks

    def count(self, observation: Observation, verdict: Verdict) -> None:
        """Count one more check."""
        if verdict.outcome is Outcome.UNKNOWN:
            return
        self.checks += 1
        if verdict.outcome is Outcome.DOWN:
            self.failures += 1
        if observation.seen.evidence.status is not None:
            self.answered += 1
            self.latency += observation.elapsed

    @property
    def uptime_percentage(self) -> float:
        """Return the share of checks that did not fail, in percent with two decimals; 100.0 before the first one.

        One failure in a million checks never reads as 100.
        """
        if not self.failures:
            return 100.0
        return min(round(100 * (self.checks - self.failures) / self.checks, 2), 99.99)

    @property
    def average_ms(self) -> int:
        """Return the mean response time of answered checks in whole milliseconds; 0 before the first one."""
        return round(self.latency / self.answered / _MILLISECOND) if self.answered else 0

    def statistics(self, *, consecutive_failures: int) -> Statistics:
        """Return the counts as an alert carries them."""
        return Statistics(
            total_checks=self.checks,
            total_failures=self.failures,
            consecutive_failures=consecutive_failures,
            uptime_percentage=self.uptime_percentage,
            avg_response_time_ms=self.average_ms,
        )

"""The log lines of SEED, on the console and in the file: what happens, one line each, in the host's local time."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache

from laya_uptime.domain.alert import Alert, Transition
from laya_uptime.domain.incident import Incident
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Outcome, Result, Verdict
from laya_uptime.domain.text import one_line
from laya_uptime.domain.wording import clock_text
from laya_uptime.ports import Channel, Round

NAME = "laya_uptime"
_INVALID = frozenset(
    {
        Reason.BODY_INVALID,
        Reason.TRUNCATED,
        Reason.TOO_LARGE,
        Reason.ASSERTION,
        Reason.HTTP_PROTOCOL,
        Reason.REDIRECT_LOOP,
        Reason.REDIRECT_BLOCKED,
    }
)
_SIGNS = {"email": "📧"}
_ANY_SIGN = "📡"
_MS = timedelta(milliseconds=1)


_Look = tuple[Outcome, str, Reason | None]


@lru_cache(maxsize=1024)
def _look(outcome: Outcome, label: str, reason: Reason | None) -> _Look:
    """Return what a line says of a check; the same one for the many monitors of which the same is to be said."""
    return outcome, label, reason


class Console:
    """`ports.Listener` that writes log lines."""

    def __init__(
        self,
        *,
        slot_over: Callable[[datetime], None] = lambda _due: None,
        first_look: Callable[[Round], None] | None = None,
        every_check: bool = True,
    ) -> None:
        """Write a line for every check, or only for one whose outcome, label or reason is not that of its last line."""
        self._slot_over = slot_over
        self._first_look = first_look
        self._looked_at: set[str] = set()
        self._every_check = every_check
        self._said: dict[str, _Look] = {}  # per monitor, what its last line said; empty where every check has one
        self._log = logging.getLogger(NAME)
        self._explained: dict[str, str] = {}  # per monitor, the cause that was written out last

    def resumed(self, monitor: Monitor, incident: Incident) -> None:
        """Write `Resuming: NAME down since T`."""
        since = (incident.down_at or incident.opened_at).astimezone()
        self._log.info("Resuming: %s down since %s", one_line(monitor.name), f"{since:%Y-%m-%d %H:%M:%S}")

    def round_done(self, round_: Round) -> None:
        """Write the check's own line, its cause where the line has no room for it, and what was decided."""
        if self._every_check or self._is_change(round_):
            self._check(round_.monitor, round_.result)
        if self._first_look is not None and round_.monitor.id not in self._looked_at:
            self._looked_at.add(round_.monitor.id)
            self._first_look(round_)
        if round_.followed.transition is not None:
            self._transition(round_, round_.followed.transition)

    def _transition(self, round_: Round, transition: Transition) -> None:
        name = round_.monitor.name
        match transition:
            case Transition.DOWN | Transition.REMINDER:
                self._log.error("🚨 %s: ALERT - %d consecutive failures", name, round_.health.consecutive_failures)
            case Transition.RECOVERED if round_.followed.closed is not None:
                ended = round_.followed.closed
                downtime = clock_text(ended.downtime or timedelta(0))
                self._log.info("🔄 %s: RECOVERED after %d failures (downtime: %s)", name, ended.failures, downtime)
                if ended.unseen:
                    self._log.info("   %s: nobody looked for %s of it", name, clock_text(ended.unseen))
            case Transition.RECOVERED | Transition.DEGRADED | Transition.HEALTHY | Transition.UNDELIVERED:
                pass

    def _is_change(self, round_: Round) -> bool:
        verdict, monitor_id = round_.result.verdict, round_.monitor.id
        look = _look(verdict.outcome, verdict.label, verdict.reason)
        if self._said.get(monitor_id) == look:
            return False
        self._said[monitor_id] = look
        return True

    def looked(self, monitor: Monitor, result: Result) -> None:
        """Write the line of a check outside any service."""
        self._check(monitor, result)

    def slot_over(self, monitor_id: str, due: datetime) -> None:
        """Write nothing, every check has its own line; but let the face count its rounds."""
        del monitor_id
        self._slot_over(due)

    def delivered(self, channel: Channel, alert: Alert) -> None:
        """Write `📧 Email alert sent to ADDRESS` or `📡 Webhook alert sent successfully`."""
        del alert
        if channel.kind == "email":
            self._log.info("📧 %s alert sent to %s", channel.title, channel.notifier.address)
        else:
            self._log.info("%s %s alert sent successfully", _sign(channel), channel.title)

    def delivery_failed(self, channel: Channel, alert: Alert, cause: str, *, wait: timedelta | None) -> None:
        """Write `📧 Email alert failed - CAUSE, next try in Ns`, or that it was given up."""
        del alert
        after = "giving up" if wait is None else f"next try in {max(round(wait.total_seconds()), 0)}s"
        self._log.error("%s %s alert failed - %s, %s", _sign(channel), channel.title, one_line(cause), after)

    def trouble(self, text: str) -> None:
        """Write that something of our own does not work."""
        self._log.error("%s", one_line(text))

    def relief(self, text: str) -> None:
        """Write that it works again."""
        self._log.info("%s", one_line(text))

    def _check(self, monitor: Monitor, result: Result) -> None:
        """Write the check's line, and once the cause where the format of that line leaves it out."""
        level, line = check_line(monitor, result)
        # Made here, because `log` would walk up the stack for the place that it was called from, and nobody asks.
        if self._log.isEnabledFor(level):
            self._log.handle(self._log.makeRecord(NAME, level, "", 0, line, (), None))
        unsaid = ""
        if result.verdict.outcome is not Outcome.UP:
            cause = one_line(result.verdict.detail)
            unsaid = "" if cause in line else cause
        if unsaid == self._explained.get(monitor.id, ""):
            return
        self._explained[monitor.id] = unsaid
        if unsaid:
            self._log.warning("   %s: %s", monitor.name, unsaid)


def check_line(monitor: Monitor, result: Result) -> tuple[int, str]:
    """Return the level and the line of one check."""
    name, verdict, observation = monitor.name, result.verdict, result.observation
    code = observation.evidence.status
    shown = f" ({code})" if code is not None else ""
    took = f"{round(observation.elapsed / _MS)}ms"
    match verdict.outcome:
        case Outcome.UP:
            return logging.INFO, f"✓ {name}: {verdict.label}{shown} - {took}"
        case Outcome.DEGRADED:
            return logging.WARNING, f"⚠ {name}: degraded{shown} - {took}"
        case Outcome.UNKNOWN:
            return logging.WARNING, f"? {name}: Unknown - {one_line(verdict.detail)}"
        case Outcome.DOWN:
            return _failure_line(monitor, verdict, code, took)


def _failure_line(monitor: Monitor, verdict: Verdict, code: int | None, took: str) -> tuple[int, str]:
    name, cause = monitor.name, one_line(verdict.detail)
    shown = f" ({code})" if code is not None else ""
    if verdict.reason is Reason.REPORTED_UNHEALTHY:
        return logging.WARNING, f"⚠ {name}: unhealthy{shown} - {took}"
    if verdict.reason is Reason.HEARTBEAT_LATE:
        return logging.ERROR, f"✗ {name}: Late - {cause}"
    if verdict.reason is Reason.TIMEOUT:
        return logging.ERROR, f"✗ {name}: Request timeout (>{monitor.timeout.total_seconds():g}s)"
    if verdict.reason is Reason.HTTP_STATUS:
        return logging.ERROR, f"✗ {name}: HTTP {code} - {took}"
    if verdict.reason in _INVALID and code is not None:
        return logging.ERROR, f"✗ {name}: Invalid response - {cause} ({code}) - {took}"
    if verdict.reason is Reason.ASSERTION:  # of what has no codes, but spoke
        return logging.ERROR, f"✗ {name}: Invalid response - {cause} - {took}"
    return logging.ERROR, f"✗ {name}: Connection failed - {cause}"


def _sign(channel: Channel) -> str:
    return _SIGNS.get(channel.kind, _ANY_SIGN)

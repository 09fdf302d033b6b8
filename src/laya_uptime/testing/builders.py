"""Domain values for tests, naming only what matters: `a_monitor(every="30s", confirm=3)`."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from laya_uptime.domain.alert import AlertFacts, AlertStatus, Statistics, Transition
from laya_uptime.domain.change import Change
from laya_uptime.domain.incident import Incident, Severity, incident_id
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import Monitor, Patience, Rules
from laya_uptime.domain.result import Observation, Result
from laya_uptime.domain.routing import DueAlert, address
from laya_uptime.ports import Channel, Check, Notifier, Watched
from laya_uptime.testing.clock import NOON
from laya_uptime.testing.durations import duration
from laya_uptime.testing.recording import RecordingNotifier
from laya_uptime.testing.scripted import PROBES, ScriptedCheck

_TARGET = "https://shop.example/health"
_LATENCY = timedelta(milliseconds=43)


def a_monitor(
    id: str = "shop",  # noqa: A002  it is called so everywhere
    *,
    name: str | None = None,
    target: str = _TARGET,
    every: str | timedelta = "60s",
    timeout: str | timedelta = "10s",
    confirm: int = 2,
    recover: int = 2,
    remind_every: int = 5,
    quorum: int = 1,
    in_step: bool = False,
    rules: Rules | None = None,
) -> Monitor:
    """Return a monitor; as it stands, one that a configuration file would give that names nothing but its target.

    `confirm` and `recover` are the failures and passes in a row that it takes to believe them.
    """
    return Monitor(
        id=id,
        name=id.replace("-", " ").title() if name is None else name,
        target=target,
        every=duration(every),
        timeout=duration(timeout),
        patience=Patience(failures=confirm, passes=recover),
        rules=rules or Rules(),
        quorum=quorum,
        remind_every=remind_every,
        in_step=in_step,
    )


def watched(check: Check | str = ".", monitor: Monitor | None = None) -> Watched:
    """Return a monitor with its check, which may be given as a script."""
    return Watched(
        monitor=monitor or a_monitor(), check=ScriptedCheck(check) if isinstance(check, str) else check, position="test"
    )


def a_channel(
    notifier: Notifier | None = None,
    id: str = "chat",  # noqa: A002  it is called so everywhere
    *,
    kind: str = "webhook",
    title: str = "Webhook",
) -> Channel:
    """Return a channel; as it stands, a webhook whose notifier records."""
    return Channel(id=id, kind=kind, title=title, notifier=notifier or RecordingNotifier())


def a_probe(
    sign: str = ".",
    monitor: Monitor | None = None,
    *,
    at: datetime = NOON,
    due: datetime | None = None,
    elapsed: timedelta = _LATENCY,
) -> Observation:
    """Return what one probe saw, by the sign of `scripted.PROBES`."""
    monitor = monitor or a_monitor()
    return Observation(monitor_id=monitor.id, region="local", due=due or at, at=at, elapsed=elapsed, seen=PROBES[sign])


def a_result(
    sign: str = ".", monitor: Monitor | None = None, *, at: datetime = NOON, elapsed: timedelta = _LATENCY
) -> Result:
    """Return a probe with its verdict."""
    monitor = monitor or a_monitor()
    observation = a_probe(sign, monitor, at=at, elapsed=elapsed)
    return Result(observation=observation, verdict=judge(observation, monitor.rules))


def an_incident(
    monitor_id: str = "shop",
    *,
    severity: Severity = Severity.DOWN,
    at: datetime = NOON,
    failures: int = 1,
) -> Incident:
    """Return an incident that is open since then."""
    is_down = severity is Severity.DOWN
    return Incident(
        id=incident_id(monitor_id, at),
        monitor_id=monitor_id,
        severity=severity,
        opened_at=at,
        down_at=at if is_down else None,
        confirmed_at=at,
        failures=failures if is_down else 0,
    )


def an_alert_due(
    channel: str = "chat",
    transition: Transition = Transition.DOWN,
    *,
    incident: str = "shop-20261125T120000000Z",
    ordinal: int = 0,
    at: datetime = NOON,
) -> DueAlert:
    """Return an alert as it goes into the outbox."""
    is_good = transition in {Transition.RECOVERED, Transition.HEALTHY}
    facts = AlertFacts(
        service="Shop",
        monitor_id="shop",
        status=AlertStatus.RECOVERED if is_good else AlertStatus.FAILURE,
        url=_TARGET,
        message="Service recovered" if is_good else "Service is down (1 consecutive failures)",
        at=at,
        statistics=Statistics(total_checks=1, total_failures=1, consecutive_failures=1, uptime_percentage=0.0),
        reason=None if is_good else "refused",
        detail="" if is_good else "Connection refused",
    )
    return address(incident, transition, ordinal, channel, facts=facts, at=at, decision=("a test wants it",))


def a_change(
    *alerts: DueAlert,
    monitor_id: str = "shop",
    results: Sequence[Result] = (),
) -> Change:
    """Return a change that writes nothing but these results and alerts."""
    return Change(monitor_id=monitor_id, results=tuple(results), alerts=alerts)

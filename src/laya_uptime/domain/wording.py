"""How an alert reads: its subject, one sentence, and the lines below it, the same in mail and in chats.

Everything returned is plain text on one line, free of line breaks and control characters; a channel still escapes
it for its own format. Instants are shown in the time zone they carry.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from laya_uptime.domain.alert import Alert, AlertFacts, Statistics, Transition
from laya_uptime.domain.text import cut, one_line

_NAME = 80  # UTF-16 units: a name may be 10 kB, a subject may not
_SUBJECT = 200
_VALUE = 1000
_MOST = 20  # components, and failed expectations, that are shown one by one


@dataclass(frozen=True, slots=True)
class Line:
    """One fact: what it is, and what it says."""

    label: str
    text: str


def clock_text(duration: timedelta) -> str:
    """Return "H:MM:SS", rounded down to the second. It never turns into days: a day and two hours are "26:00:00"."""
    minutes, seconds = divmod(abs(duration) // timedelta(seconds=1), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{'-' if duration < timedelta(0) else ''}{hours}:{minutes:02}:{seconds:02}"


def instant_text(at: datetime) -> str:
    """Return an aware instant to the second with its offset: "2026-02-17 03:30:00 +01:00"."""
    iso = at.isoformat(sep=" ", timespec="seconds")
    return f"{iso[:19]} {iso[19:25]}"


def subject(alert: Alert) -> str:
    """Return the headline: "DOWN: AI Service - Connection refused". At most 200 UTF-16 units."""
    facts = alert.facts
    name, cause = _name(facts), one_line(facts.detail)
    match alert.transition:
        case Transition.DOWN:
            text = _with(f"DOWN: {name}", cause)
        case Transition.REMINDER:
            text = _with(f"STILL DOWN: {name}", cause)
        case Transition.RECOVERED:
            text = f"RECOVERED: {name}{_after(facts)}"
        case Transition.DEGRADED:
            text = _with(f"DEGRADED: {name}", cause)
        case Transition.HEALTHY:
            text = f"HEALTHY: {name}"
        case Transition.UNDELIVERED:
            text = _with(f"NOT DELIVERED: an alert for {name}", cause)
    return cut(text, _SUBJECT)


def summary(alert: Alert) -> str:
    """Return what happened in one sentence, as one would say it on the phone."""
    facts = alert.facts
    name, cause = _name(facts), cut(one_line(facts.detail), _VALUE).rstrip(".")
    because = f": {cause}" if cause else ""
    match alert.transition:
        case Transition.DOWN:
            return f"{name} is down{_since(facts)}{because}."
        case Transition.REMINDER:
            return f"{name} is still down{_since(facts)}, {_in_a_row(facts.statistics)}{because}."
        case Transition.RECOVERED:
            return f"{name} is back{_after(facts)}."
        case Transition.DEGRADED:
            return f"{name} is degraded{_since(facts)}{because}."
        case Transition.HEALTHY:
            return f"{name} is healthy again."
        case Transition.UNDELIVERED:
            return f"An alert for {name} could not be delivered on another channel{because}."


def details(alert: Alert, *, sent_at: datetime | None = None) -> tuple[Line, ...]:
    """Return the facts in the order in which a reader asks for them; what is not known has no line.

    `sent_at` closes the timeline where the channel itself does not show when a message came.
    """
    return tuple(Line(label, cut(text, _VALUE)) for label, text in _details(alert, sent_at) if text)


def _details(alert: Alert, sent_at: datetime | None) -> Iterator[tuple[str, str]]:
    facts = alert.facts
    yield "Service", one_line(facts.service)
    yield "Address", one_line(facts.url)
    yield "Message", one_line(facts.message)
    yield "Reason", _with(one_line(facts.reason or ""), one_line(facts.detail))
    yield from _each("Component", facts.components)
    yield from _each("Assertion", facts.assertions)
    for label, at in (
        ("First failure", facts.first_failure),
        ("Confirmed", facts.confirmed),
        ("Recovered", facts.recovered),
    ):
        if at is not None:
            yield label, instant_text(at)
    if alert.transition in {Transition.REMINDER, Transition.DEGRADED, Transition.HEALTHY, Transition.UNDELIVERED}:
        yield "Seen", instant_text(facts.at)
    if sent_at is not None:
        yield "Sent", instant_text(sent_at.astimezone(facts.at.tzinfo))
    if facts.downtime is not None:
        yield "Downtime", clock_text(facts.downtime)
    if facts.unseen:
        yield "Not watched", f"{clock_text(facts.unseen)} of it nobody looked, so it counts as neither up nor down"
    yield "Checks", _counts(facts.statistics)
    yield "Uptime", f"{facts.statistics.uptime_percentage:.2f} % of checks"
    if facts.statistics.avg_response_time_ms:
        yield "Response time", f"{facts.statistics.avg_response_time_ms} ms on average"
    yield "Incident", one_line(alert.incident_id)


def _each(label: str, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    for text in texts[:_MOST]:
        yield label, one_line(text)
    if len(texts) > _MOST:
        yield label, f"and {len(texts) - _MOST} more"


def _counts(statistics: Statistics) -> str:
    counts = f"{statistics.total_checks} since this start, {statistics.total_failures} failed"
    return f"{counts}, {_in_a_row(statistics)}" if statistics.consecutive_failures else counts


def _in_a_row(statistics: Statistics) -> str:
    count = statistics.consecutive_failures
    return f"{count} failure{'' if count == 1 else 's'} in a row"


def _name(facts: AlertFacts) -> str:
    return cut(one_line(facts.service), _NAME) or "A service"


def _since(facts: AlertFacts) -> str:
    since = facts.first_failure or facts.confirmed
    return f" since {instant_text(since)}" if since is not None else ""


def _after(facts: AlertFacts) -> str:
    return f" after {clock_text(facts.downtime)}" if facts.downtime is not None else ""


def _with(head: str, tail: str) -> str:
    return f"{head} - {tail}" if head and tail else head or tail

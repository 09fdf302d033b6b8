"""The checker: what was so, what was told and what was recorded, held against each other.

Every service is taken to be watched with one failure enough for an outage and one pass for its end.

I1  Each outage that a round saw was told as down and then as recovered on every channel, in this order, and whatever
    is stamped as sent has arrived.
I2  Nothing arrived twice, but for a message that had arrived before a process was killed, was not stamped then, and
    was sent once more by the next process under the same Message-ID or Idempotency-Key.
I3  Nothing was told without an outage, before it began, or without a record; "recovered" was not told before the end.
I4  The stored belief contradicts the truth only next to a change, and for at most one interval of time in which a
    process ran. Of time in which none ran, at most one interval is stored as up or down; the rest is unknown.
    Unknown reaches back from a kill by at most one interval and the two seconds that a commit may take.
    An incident lasted as long as the outage, but for one interval and the time in which no process ran; what of it
    was seen is what its spans store as down, and its duration is the downtime that was told.
I5  The database is whole, of the schema that was expected, and at rest: per monitor one open span and no gap or
    overlap, no open incident, nothing unsent, nothing given up.

An interval counts as long as the target saw it: a machine that is late by itself is measured, not guessed.
"""

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from laya_uptime.testing.ledger import Entry
from laya_uptime.testing.record import Record, Span, read
from laya_uptime.testing.truth import SERVICES, Outage

COMMIT = timedelta(seconds=2)  # a result that nobody waits for may wait one second for company, and for the disk
SLACK = timedelta(milliseconds=250)  # between the edge itself, its note, and the start of a check
_ZERO = timedelta(0)
_ROUNDING = timedelta(milliseconds=5)  # stored instants are whole milliseconds
_UP, _DOWN, _UNKNOWN = "up", "down", "unknown"
_BELIEF = {"up": _UP, "degraded": _UP, "down": _DOWN}  # all other outcomes: unknown
_NAMES = {service.id: service.name for service in SERVICES}
_DOWNTIME = re.compile(r"downtime: (\d+):(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One process. Before it `spoke` it cannot have sent anything; None: it was killed before."""

    began: datetime
    spoke: datetime | None
    ended: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that the checker looks at. All instants are UTC."""

    outages: Sequence[Outage]
    looks: Sequence[datetime]  # when a check reached any of the services
    entries: Sequence[Entry]
    database: Path
    lives: Sequence[Life]  # oldest first
    every: timedelta
    channels: Sequence[str]
    schema: str  # the revision that the database must have


@dataclass(frozen=True, slots=True)
class Breach:
    """One broken invariant, "I1" to "I5", and how."""

    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


@dataclass(slots=True)
class Findings:
    """What the checker found. `lost` counts messages that never came, `duplicates` those that came again."""

    breaches: list[Breach] = field(default_factory=list)
    lost: int = 0
    duplicates: int = 0


def check(facts: Facts) -> Findings:
    """Hold truth, ledger and database against each other."""
    findings = Findings()
    record = _read(facts, findings)
    _check_told(facts, findings)
    _check_duplicates(facts, record, findings)
    if record is not None:
        _check_record(facts, record, findings)
        _check_at_rest(facts, record, findings)
        for service in SERVICES:
            _check_belief(facts, service.id, record.spans.get(service.id, []), findings)
        _check_downtime(facts, record, findings)
    return findings


@dataclass(frozen=True, slots=True)
class _Stretch:
    began: datetime
    ended: datetime

    @property
    def length(self) -> timedelta:
        return max(self.ended - self.began, _ZERO)

    def shared(self, others: Iterable["_Stretch"]) -> timedelta:
        """Return how much of it lies in the others, which do not overlap."""
        parts = (min(self.ended, other.ended) - max(self.began, other.began) for other in others)
        return sum((max(part, _ZERO) for part in parts), _ZERO)


def _read(facts: Facts, findings: Findings) -> Record | None:
    try:
        record = read(facts.database)
    except sqlite3.Error as error:
        findings.breaches.append(Breach("I5", f"the database cannot be read: {error}"))
        return None
    if record.schema != facts.schema:
        findings.breaches.append(Breach("I5", f"the schema is {record.schema}, not {facts.schema}"))
    return record


# --- I1 and I3: what was told


def _incident_of(entry: Entry) -> str:
    """Return the incident that the message is about: its dedup key is incident/channel."""
    return (entry.dedup_key or "").rpartition("/")[0]


def _check_told(facts: Facts, findings: Findings) -> None:
    def broken(invariant: str, text: str) -> None:
        findings.breaches.append(Breach(invariant, text))

    names = set(_NAMES.values())
    for channel in facts.channels:
        taken = [entry for entry in facts.entries if entry.channel == channel and entry.accepted]
        for stranger in (entry for entry in taken if entry.service not in names):
            broken("I3", f"{channel} was told of {stranger.service!r}: {stranger.subject!r}")
        for service, name in _NAMES.items():
            # One incident per outage, in the order in which they are first heard of.
            told: dict[str, list[Entry]] = defaultdict(list)
            for entry in sorted((e for e in taken if e.service == name), key=lambda e: e.received_at):
                told[_incident_of(entry)].append(entry)
            outages = [outage for outage in facts.outages if outage.service == service]
            for incident in list(told)[len(outages) :]:
                broken("I3", f"{channel} was told of {incident}, but {name} had {len(outages)} outages")
            heard = [*told.values(), *([] for _ in outages)]
            for outage, entries in zip(outages, heard, strict=False):
                _check_outage(outage, channel, entries, findings)


def _check_outage(outage: Outage, channel: str, entries: Sequence[Entry], findings: Findings) -> None:
    def broken(invariant: str, text: str) -> None:
        findings.breaches.append(Breach(invariant, f"{channel}, {outage.service}: {text}"))

    first: dict[str, datetime] = {}
    for entry in entries:
        first.setdefault(entry.transition or "", entry.received_at)
    for transition in ("down", "recovered"):
        if transition not in first and (transition == "down" or outage.ended is not None):
            findings.lost += 1
            broken("I1", f"{transition!r} was never told")
    for transition in first.keys() - {"down", "reminder", "recovered"}:
        broken("I3", f"{transition!r} was told")
    order = list(first)
    if "down" in first and order[0] != "down":
        broken("I1", f"the first word was {order[0]!r}")
    if "recovered" in first and order[-1] != "recovered":
        broken("I1", f"{order[-1]!r} was told after 'recovered'")
    if first and min(first.values()) < outage.began - SLACK:
        broken("I3", "it was told before it was so")
    if "recovered" in first and (outage.ended is None or first["recovered"] < outage.ended - SLACK):
        broken("I3", "'recovered' was told before it was so")


# --- I2: duplicates


def _check_duplicates(facts: Facts, record: Record | None, findings: Findings) -> None:
    copies: dict[tuple[str, str | None], list[Entry]] = defaultdict(list)
    ids: dict[tuple[str, str, str | None], set[str | None]] = defaultdict(set)
    for entry in sorted(facts.entries, key=lambda entry: entry.received_at):
        if entry.accepted:
            copies[entry.channel, entry.delivery_id].append(entry)
        if entry.transition in {"down", "recovered"}:  # of an incident there is one of each; reminders are many
            ids[entry.channel, _incident_of(entry), entry.transition].add(entry.delivery_id)
    for (channel, incident, transition), found in ids.items():
        if len(found) > 1 or None in found:
            text = f"{channel} got {transition!r} of {incident} under {len(found - {None})} ids"
            findings.breaches.append(Breach("I2", text))
    stamps = {row.id: row.sent_at for row in record.rows} if record is not None else None
    for (channel, id_), entries in copies.items():
        findings.duplicates += len(entries) - 1
        reason = _why_not(facts, entries, stamps, id_) if len(entries) > 1 else None
        if reason is not None:
            text = f"{channel} got {entries[0].transition!r} {len(entries)} times: {reason}"
            findings.breaches.append(Breach("I2", text))


def _why_not(
    facts: Facts, entries: Sequence[Entry], stamps: dict[str, datetime | None] | None, id_: str | None
) -> str | None:
    """Return why this message must not have come more than once; None where a kill explains it."""
    senders = [_sender(facts.lives, entry) for entry in entries]
    if len(set(senders)) != len(senders):
        return "one process sent it more than once"
    last = facts.lives[max(senders)]
    if stamps is None:
        return None
    stamp = stamps.get(id_ or "")
    if stamp is not None and stamp < last.began - _ROUNDING:
        return "it had been stamped as sent before the kill"
    return None


def _sender(lives: Sequence[Life], entry: Entry) -> int:
    """Return which process sent the message: the last one that had said its first word when it arrived.

    What was on its way when a process was killed still arrives, a little after its end.
    """
    spoken = [number for number, life in enumerate(lives) if life.spoke is not None and life.spoke <= entry.received_at]
    return max(spoken, default=0)


# --- I4: the stored belief


def _check_belief(facts: Facts, service: str, spans: Sequence[Span], findings: Findings) -> None:
    def broken(text: str) -> None:
        findings.breaches.append(Breach("I4", f"{service}: {text}"))

    if not spans or not facts.lives:
        return
    until = facts.lives[-1].ended
    dead = _dead_times(facts)
    slack = _slack(facts, dead)
    outages = [outage for outage in facts.outages if outage.service == service]
    down = [_Stretch(outage.began, outage.ended or until) for outage in outages]
    edges = {edge for stretch in down for edge in (stretch.began, stretch.ended)}
    for wrong, belief in _contradictions(spans, down, until):
        alive = wrong.length - wrong.shared(dead)
        if not {wrong.began, wrong.ended} & edges and wrong.length > _ROUNDING:
            broken(f"stored as {belief} from {wrong.began:%T.%f} for {_seconds(wrong.length)} for no reason")
        elif alive > facts.every + slack:
            broken(f"stored as {belief} for {_seconds(alive)} after it was not, at {wrong.began:%T.%f}")
    believed = [(_Stretch(span.began, span.ended or until), _BELIEF.get(span.outcome, _UNKNOWN)) for span in spans]
    for nobody in dead:
        known = sum((nobody.shared([stretch]) for stretch, belief in believed if belief != _UNKNOWN), _ZERO)
        if known > facts.every + slack:
            broken(f"{_seconds(known)} without any process are stored as known")
    blind = sum((s.length - s.shared(dead) for s, belief in believed if belief == _UNKNOWN), _ZERO)
    if blind > (facts.every + COMMIT + slack) * len(dead):
        broken(f"{_seconds(blind)} in which a process ran are stored as unknown")


def _contradictions(spans: Sequence[Span], down: Sequence[_Stretch], until: datetime) -> Iterable[tuple[_Stretch, str]]:
    """Return where the stored belief is not what was so, and what it says there."""
    for span in spans:
        belief = _BELIEF.get(span.outcome, _UNKNOWN)
        whole = _Stretch(span.began, span.ended or until)
        if belief == _DOWN:
            edges = [whole.began, *(edge for each in down for edge in (each.began, each.ended)), whole.ended]
            gaps = [_Stretch(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True)]
        elif belief == _UP:
            gaps = list(down)
        else:
            continue
        for gap in gaps:
            wrong = _Stretch(max(gap.began, whole.began), min(gap.ended, whole.ended))
            if wrong.length:
                yield wrong, belief


def _dead_times(facts: Facts) -> list[_Stretch]:
    """Return the stretches in which no process watched: from the end of one to the first check of the next."""
    found = []
    for life, following in pairwise(facts.lives):
        first = min((look for look in facts.looks if look >= following.began), default=following.ended)
        found.append(_Stretch(life.ended, first))
    return found


def _slack(facts: Facts, dead: Sequence[_Stretch]) -> timedelta:
    """Return what an interval may take longer: as long as the target saw between two checks of one process."""
    gaps = [gap.length for pair in pairwise(sorted(facts.looks)) if not (gap := _Stretch(*pair)).shared(dead)]
    return SLACK + max(max(gaps, default=_ZERO) - facts.every, _ZERO)


def _check_downtime(facts: Facts, record: Record, findings: Findings) -> None:
    def broken(text: str) -> None:
        findings.breaches.append(Breach("I4", text))

    dead = _dead_times(facts)
    slack = _slack(facts, dead) + sum((nobody.length for nobody in dead), _ZERO)
    for service in _NAMES:
        outages = [outage for outage in facts.outages if outage.service == service]
        incidents = [
            each for each in record.incidents.values() if each.monitor == service and each.downtime is not None
        ]
        for outage, incident in zip(outages, incidents, strict=False):
            if incident.downtime is None or outage.ended is None:
                continue
            truth = outage.ended - outage.began
            if abs(incident.downtime - truth) > facts.every + slack:
                broken(f"{incident.id} lasted {_seconds(incident.downtime)}, the outage {_seconds(truth)}")
            spans = [span for span in record.spans.get(service, []) if span.incident == incident.id]
            stored = sum(((s.ended or s.began) - s.began for s in spans if s.outcome == "down"), _ZERO)
            if abs(incident.downtime - incident.unseen - stored) > _ROUNDING:
                seen = _seconds(incident.downtime - incident.unseen)
                broken(f"{incident.id}: {seen} of it were seen, but {_seconds(stored)} by its spans")
            for told in _wrongly_told(facts, incident.id, incident.downtime):
                broken(f"{told}, but {incident.id} lasted {_seconds(incident.downtime)}")


def _wrongly_told(facts: Facts, incident: str, downtime: timedelta) -> Iterable[str]:
    for entry in facts.entries:
        told = _DOWNTIME.search(entry.subject or "")
        if told is None or _incident_of(entry) != incident:
            continue
        hours, minutes, seconds = map(int, told.groups())
        off = downtime - timedelta(hours=hours, minutes=minutes, seconds=seconds)
        if not -_ROUNDING <= off < timedelta(seconds=1) + _ROUNDING:
            yield f"{entry.channel} was told of {told[0]!r}"


# --- I5, and what ties the ledger to the record


def _check_record(facts: Facts, record: Record, findings: Findings) -> None:
    arrived = {(entry.channel, entry.delivery_id) for entry in facts.entries if entry.accepted}
    recorded = {(row.channel, row.id) for row in record.rows}
    for row in record.rows:
        if row.sent_at is not None and (row.channel, row.id) not in arrived:
            text = f"{row.channel}: {row.transition!r} of {row.incident} is stamped as sent and never arrived"
            findings.breaches.append(Breach("I1", text))
    for channel, id_ in sorted(arrived - recorded, key=str):
        findings.breaches.append(Breach("I3", f"{channel} was told {id_}, of which there is no record"))


def _check_at_rest(facts: Facts, record: Record, findings: Findings) -> None:
    said = [text for service in _NAMES for text in _untidy(service, record.spans.get(service, []))]
    is_over = all(outage.ended is not None for outage in facts.outages)
    said += [f"{incident.id} is still open" for incident in record.incidents.values() if incident.is_open and is_over]
    for row in record.rows:
        if row.dead_at is not None:
            said.append(f"{row.channel}: {row.transition!r} of {row.incident} was given up")
        elif row.sent_at is None:
            said.append(f"{row.channel}: {row.transition!r} of {row.incident} is still waiting")
    findings.breaches.extend(Breach("I5", text) for text in said)


def _untidy(service: str, spans: Sequence[Span]) -> Iterable[str]:
    if (still := sum(span.ended is None for span in spans)) != 1:
        yield f"{service} has {still} open spans"
    for before, after in pairwise(spans):
        if before.ended != after.began:
            yield f"{service}: {before.outcome} ends {before.ended}, {after.outcome} begins {after.began}"


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():.2f} s"

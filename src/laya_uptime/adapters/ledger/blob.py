"""Results as bytes: fixed records, codec 1. The first byte of every blob names its codec.

One record: monitor u32, region u16, at i64 (ms since 1970), lateness i32 (ms from due to at), outcome u8, reason u8,
latency u32 (0.1 ms), status u16 (0: none), then dns, connect, tls, send, wait, read as u32 (0.1 ms, all ones: not
reached). Little-endian, no padding.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Outcome, Result

CODEC = 1
_RECORD = struct.Struct("<IHqiBBIH6I")
_ABSENT = 0xFFFFFFFF
_LATEST = 0x7FFFFFFF  # ms; a clock that was set between due and start makes more of it, which means nothing
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_TENTH = timedelta(microseconds=100)

# Positions are stored, so these lists only ever grow at the end.
_OUTCOMES = (Outcome.UP, Outcome.DEGRADED, Outcome.DOWN, Outcome.UNKNOWN)
_REASONS: tuple[Reason | None, ...] = (
    None,
    Reason.DNS,
    Reason.REFUSED,
    Reason.UNREACHABLE,
    Reason.RESET,
    Reason.TIMEOUT,
    Reason.TLS_EXPIRED,
    Reason.TLS_NOT_YET_VALID,
    Reason.TLS_HOSTNAME,
    Reason.TLS_SELF_SIGNED,
    Reason.TLS_UNTRUSTED,
    Reason.TLS_HANDSHAKE,
    Reason.HTTP_STATUS,
    Reason.HTTP_PROTOCOL,
    Reason.TRUNCATED,
    Reason.TOO_LARGE,
    Reason.REDIRECT_LOOP,
    Reason.REDIRECT_BLOCKED,
    Reason.BODY_INVALID,
    Reason.ASSERTION,
    Reason.REPORTED_DEGRADED,
    Reason.REPORTED_UNHEALTHY,
    Reason.SLOW,
    Reason.CERT_EXPIRING,
    Reason.CERT_WEAK,
    Reason.HEARTBEAT_LATE,
    Reason.BLOCKED_BY_POLICY,
    Reason.PROBE_OFFLINE,
    Reason.INTERNAL,
)
_OUTCOME_AT = {outcome: place for place, outcome in enumerate(_OUTCOMES)}
_REASON_AT = {reason: place for place, reason in enumerate(_REASONS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One stored result. Ids are the store's own numbers; None: not reached, or no such thing."""

    monitor_id: int
    region_id: int
    at: datetime
    due: datetime
    outcome: Outcome
    reason: Reason | None
    latency: timedelta
    status: int | None
    phases: tuple[timedelta | None, ...]  # dns, connect, tls, send, wait, read


def to_ms(at: datetime) -> int:
    """Return the instant in whole milliseconds since 1970, UTC."""
    return _whole_ms(at - _EPOCH)


def from_ms(ms: int) -> datetime:
    """Return the instant, aware, in UTC."""
    return _EPOCH + ms * _MS


def pack(results: Iterable[tuple[int, int, Result]]) -> bytes:
    """Return (monitor number, region number, result) rows as one blob."""
    parts = [bytes([CODEC])]
    for monitor_id, region_id, result in results:
        observation, verdict = result.observation, result.verdict
        evidence, at = observation.seen.evidence, observation.at
        phases = evidence.phases
        parts.append(
            _RECORD.pack(
                monitor_id,
                region_id,
                _whole_ms(at - _EPOCH),
                min(max(_whole_ms(at - observation.due), -_LATEST), _LATEST),
                _OUTCOME_AT[verdict.outcome],
                _REASON_AT[verdict.reason],
                _tenths(observation.elapsed),
                min(max(evidence.status or 0, 0), 0xFFFF),
                _ABSENT if phases.dns is None else _tenths(phases.dns),
                _ABSENT if phases.connect is None else _tenths(phases.connect),
                _ABSENT if phases.tls is None else _tenths(phases.tls),
                _ABSENT if phases.send is None else _tenths(phases.send),
                _ABSENT if phases.wait is None else _tenths(phases.wait),
                _ABSENT if phases.read is None else _tenths(phases.read),
            )
        )
    return b"".join(parts)


def unpack(blob: bytes) -> Iterator[Record]:
    """Return the records of a blob. Raise ValueError for a codec that is not known here, or a torn or garbled blob."""
    if not blob or blob[0] != CODEC:
        raise ValueError(f"unknown codec {blob[:1].hex() or 'of an empty blob'}")
    if (len(blob) - 1) % _RECORD.size:
        raise ValueError("the blob is torn")
    for monitor, region, at, late, outcome, reason, latency, status, *steps in _RECORD.iter_unpack(blob[1:]):
        try:
            yield Record(
                monitor_id=monitor,
                region_id=region,
                at=from_ms(at),
                due=from_ms(at - late),
                outcome=_OUTCOMES[outcome],
                reason=_REASONS[reason],
                latency=latency * _TENTH,
                status=status or None,
                phases=tuple(None if step == _ABSENT else step * _TENTH for step in steps),
            )
        except (IndexError, OverflowError) as error:
            raise ValueError("the blob is garbled") from error


# Dividing one timedelta by another makes several long integers of them; these two make none, for the same quotient.


def _whole_ms(time: timedelta) -> int:
    return (time.days * 86_400 + time.seconds) * 1_000 + time.microseconds // 1_000


def _tenths(took: timedelta) -> int:
    tenths = (took.days * 86_400 + took.seconds) * 10_000 + took.microseconds // 100
    return tenths if 0 <= tenths < _ABSENT else min(max(tenths, 0), _ABSENT - 1)

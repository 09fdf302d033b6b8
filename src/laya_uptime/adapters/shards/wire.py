"""What a hub and a probe process say to each other: msgpack messages, each behind its length.

A frame is four bytes, the length of what follows as an unsigned big-endian number, and one message. What the hub says
is an `Order`, what it hears a `Report`. Monitors travel with their secrets in plain, so the way must be private: a
socket pair between a process and its child, or one day TLS with both ends known.

A result crosses without its body. Instants are microseconds since 1970, UTC, durations microseconds.
"""

import asyncio
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeVar, cast

import msgspec

from laya_uptime import plugins
from laya_uptime.domain.assertion import parse
from laya_uptime.domain.load import Load
from laya_uptime.domain.monitor import HealthMode, Monitor, Patience, Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import (
    Answer,
    Evidence,
    Failure,
    Observation,
    Outcome,
    Result,
    Verdict,
)
from laya_uptime.ports import Check, Watched

T = TypeVar("T")
LARGEST_FRAME = 32 << 20  # bytes; nothing that is said comes near it
_LENGTH = struct.Struct(">I")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


class WireError(ValueError):
    """What came is no message of ours, or what is to be said cannot be."""


# From the hub.


class Task(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A monitor to look at: as much of it as looking and judging need, and its check by kind and options."""

    id: str
    every: int
    timeout: int
    in_step: bool
    passes: int
    rules: msgspec.Raw  # of `_Rules`; most monitors have the same, which are read once
    kind: str
    options: msgspec.Raw


class _Rules(msgspec.Struct, frozen=True, array_like=True):
    expect: list[str]
    prefer: list[str]
    health: HealthMode
    cert_warning: int
    health_in_path: bool


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The first word: what holds for all monitors. `anchor`: from when on CLOCK_BOOTTIME phases count, in seconds."""

    anchor: float
    allow: list[str]  # networks that the egress policy opens


class Watch(msgspec.Struct, frozen=True, tag="watch"):
    """Look at these from now on, in place of those that had their ids. It is answered by `Took`."""

    serial: int
    tasks: list[Task]


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """All monitors that there are at the start have been named: begin to look."""


class Remove(msgspec.Struct, frozen=True, tag="remove"):
    """Look at these no more. It is answered by `Took`."""

    serial: int
    ids: list[str]


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """Begin no more checks of these until `Resume`."""

    ids: list[str]


class Resume(msgspec.Struct, frozen=True, tag="resume"):
    """Look at these again."""

    ids: list[str]


class Sooner(msgspec.Struct, frozen=True, tag="sooner"):
    """Look at these again sooner than their intervals say."""

    ids: list[str]


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Begin no more checks, wait so many seconds for those under way, hand everything over and go."""

    seconds: float


Order = Hello | Watch | Begin | Remove | Pause | Resume | Sooner | Stop


# To the hub.


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One result. `failure`: reason, detail and the step under way, where the target did not speak.

    Evidence and verdict are the domain's own: msgspec reads and writes them faster than Python copies what is in them.
    """

    id: str
    due: int
    at: int
    elapsed: int
    failure: tuple[Reason, str, str | None] | None
    evidence: Evidence
    verdict: Verdict


class Batch(msgspec.Struct, frozen=True, tag="batch"):
    """What was seen, in order, and slots that ended with nothing seen: of which monitor, and when they were due."""

    region: str
    rows: list[Row]
    over: list[tuple[str, int]] = []


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """A sign of life, once a second. `turning`: slots are being looked at."""

    turning: bool
    load: Load


class Took(msgspec.Struct, frozen=True, tag="took"):
    """Everything said from now on knows of the order with this number."""

    serial: int


class Trouble(msgspec.Struct, frozen=True, tag="trouble"):
    """One sentence about something of our own that does not work."""

    text: str


class Relief(msgspec.Struct, frozen=True, tag="relief"):
    """One sentence about something of our own that works again."""

    text: str


Report = Batch | Beat | Took | Trouble | Relief

_ENCODER = msgspec.msgpack.Encoder()
_ORDERS: msgspec.msgpack.Decoder[Order] = msgspec.msgpack.Decoder(Order)
_REPORTS: msgspec.msgpack.Decoder[Report] = msgspec.msgpack.Decoder(Report)


def frame(message: Order | Report) -> bytes:
    """Return the message as it goes over the wire. Raise WireError where it cannot be written."""
    try:
        body = _ENCODER.encode(message)
    except (TypeError, ValueError, OverflowError) as error:  # UnicodeEncodeError is a ValueError
        raise WireError(f"{type(message).__name__} cannot be written ({type(error).__name__})") from None
    if len(body) > LARGEST_FRAME:
        raise WireError(f"{type(message).__name__} is too long")
    return _LENGTH.pack(len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Return what the next frame holds, None at the end of the stream. Raise WireError where it has no possible length."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > LARGEST_FRAME:
            raise WireError("a frame is too long")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def read_order(body: bytes) -> Order:
    """Return what the hub says. Raise WireError where it is no order."""
    return _read(_ORDERS.decode, body)


def read_report(body: bytes) -> Report:
    """Return what a probe process says. Raise WireError where it is no report."""
    return _read(_REPORTS.decode, body)


def _read(decode: Callable[[bytes], T], body: bytes) -> T:
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise WireError(f"not a message ({type(error).__name__})") from None


def task_of(watched: Watched) -> Task:
    """Return the monitor as it goes to a probe process. Raise WireError where its check cannot."""
    monitor, check = watched.monitor, watched.check
    try:
        kind = plugins.name_of("checks", type(check))
        options = msgspec.Raw(_ENCODER.encode(check))
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise WireError(f"the check of {monitor.id} cannot be written ({type(error).__name__})") from None
    return Task(
        id=monitor.id,
        every=monitor.every // _US,
        timeout=monitor.timeout // _US,
        in_step=monitor.in_step,
        passes=monitor.patience.passes,
        rules=_written(monitor.rules),
        kind=kind,
        options=options,
    )


def watched_of(task: Task) -> Watched:
    """Return the monitor of a task. It has neither name nor target: here nobody reads them. Raise WireError."""
    try:
        check = cast("Check", _options(task.kind).decode(task.options))
        rules = _rules(bytes(task.rules))
        monitor = Monitor(
            id=task.id,
            name="",
            target="",
            every=_span(task.every),
            timeout=_span(task.timeout),
            patience=_patience(task.passes),
            rules=rules,
            in_step=task.in_step,
        )
    except (LookupError, ImportError, AttributeError, TypeError, ValueError, OverflowError) as error:
        raise WireError(f"the monitor {task.id} cannot be read ({type(error).__name__})") from None
    return Watched(monitor=monitor, check=check)


@lru_cache(maxsize=256)
def _written(rules: Rules) -> msgspec.Raw:
    return msgspec.Raw(
        _ENCODER.encode(
            _Rules(
                expect=[assertion.text for assertion in rules.expect],
                prefer=[assertion.text for assertion in rules.prefer],
                health=rules.health,
                cert_warning=rules.cert_warning // _US,
                health_in_path=rules.health_in_path,
            )
        )
    )


@lru_cache(maxsize=256)
def _rules(written: bytes) -> Rules:
    read = msgspec.msgpack.decode(written, type=_Rules)
    return Rules(
        expect=tuple(parse(text) for text in read.expect),
        prefer=tuple(parse(text) for text in read.prefer),
        health=read.health,
        cert_warning=_US * read.cert_warning,
        health_in_path=read.health_in_path,
    )


@lru_cache(maxsize=256)
def _span(us: int) -> timedelta:
    return _US * us


@lru_cache(maxsize=100)
def _patience(passes: int) -> Patience:
    return Patience(passes=passes)


@lru_cache(maxsize=100)
def _options(kind: str) -> "msgspec.msgpack.Decoder[msgspec.Struct]":
    return msgspec.msgpack.Decoder(plugins.find("checks", kind))


def row_of(result: Result) -> Row:
    """Return a result as it crosses. A body that it has still stays behind."""
    seen = result.observation
    what = seen.seen
    evidence = what.evidence
    return Row(
        seen.monitor_id,
        microseconds(seen.due),
        microseconds(seen.at),
        seen.elapsed // _US,
        (what.reason, what.detail, what.phase) if isinstance(what, Failure) else None,
        evidence if evidence.body is None else replace(evidence, body=None),
        result.verdict,
    )


def microseconds(at: datetime) -> int:
    """Return the instant as it crosses."""
    return (at - _EPOCH) // _US


def instant(us: int) -> datetime:
    """Return the instant, aware, in UTC. Raise WireError where it is none."""
    try:
        return _EPOCH + _US * us
    except OverflowError:
        raise WireError("an impossible instant") from None


def plain(row: Row) -> Row:
    """Return a row that can be written whatever was in it: lone surrogates replaced, evidence and particulars left out."""
    verdict, failure = row.verdict, row.failure
    return Row(
        _clean(row.id),
        row.due,
        row.at,
        row.elapsed,
        failure and (failure[0], _clean(failure[1]), failure[2] and _clean(failure[2])),
        Evidence(),
        Verdict(
            outcome=verdict.outcome, label=_clean(verdict.label), reason=verdict.reason, detail=_clean(verdict.detail)
        ),
    )


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def result_of(row: Row, *, region: str) -> Result:
    """Return the result of a row. Raise WireError where an instant is none."""
    due, at = instant(row.due), instant(row.at)
    try:
        elapsed = _US * row.elapsed
    except OverflowError:
        raise WireError("a row has an impossible duration") from None
    seen: Answer | Failure
    if row.failure is None:
        seen = Answer(row.evidence)
    else:
        reason, detail, phase = row.failure
        seen = Failure(reason, detail, row.evidence, phase)
    observation = Observation(monitor_id=row.id, region=region, due=due, at=at, elapsed=elapsed, seen=seen)
    return Result(observation=observation, verdict=_shared(row.verdict))


_GOOD: dict[str, Verdict] = {}
_MOST_GOOD = 1_000


def _shared(verdict: Verdict) -> Verdict:
    """Return one and the same verdict for all that are plainly good: each monitor has its last one in memory."""
    is_plain = verdict.outcome is Outcome.UP and not (verdict.detail or verdict.components or verdict.assertions)
    if not is_plain or verdict.reason is not None:
        return verdict
    if len(_GOOD) > _MOST_GOOD:
        _GOOD.clear()
    return _GOOD.setdefault(verdict.label, verdict)

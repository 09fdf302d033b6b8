"""What hub and probe process say to each other comes out as it went in; what is no message of ours is refused."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laya_uptime import plugins
from laya_uptime.adapters.checks.dns import DnsCheck
from laya_uptime.adapters.checks.exec import ExecCheck
from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.checks.ping import PingCheck
from laya_uptime.adapters.checks.python import PythonCheck
from laya_uptime.adapters.checks.ssh import SshCheck
from laya_uptime.adapters.checks.tcp import DialogueStep, TcpCheck
from laya_uptime.adapters.checks.tls import TlsCheck
from laya_uptime.adapters.checks.ws import WsCheck
from laya_uptime.adapters.shards import wire
from laya_uptime.domain.assertion import parse
from laya_uptime.domain.monitor import HealthMode, Rules
from laya_uptime.domain.payload import of_pieces
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import (
    Answer,
    AssertionResult,
    Certificate,
    Component,
    DnsFacts,
    Evidence,
    Failure,
    Hop,
    Observation,
    Outcome,
    Phases,
    PingFacts,
    ProgramReport,
    Result,
    TlsFacts,
    Verdict,
)
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Check
from laya_uptime.testing import PROBES, a_monitor, a_result, watched

CHECKS: list[Check] = [
    HttpCheck(url=Secret("https://user:pass@example.org/"), method="POST", headers={"X-Token": Secret("s3cret")}),
    HttpCheck(url=Secret("http://example.org/"), body=Secret("ünïcode"), redirects=0, resolver="192.0.2.53"),
    SshCheck(url="ssh://example.org:2222"),
    TcpCheck(url="tcp://example.org:25", dialogue=(DialogueStep(expect="^220"), DialogueStep(starttls=True))),
    TcpCheck(host="::1", port=1, dialogue=(DialogueStep(send=of_pieces([("AUTH ", False), ("s3cret\udcff", True)])),)),
    TlsCheck(url="tls://example.org", starttls="smtp", min_version="1.3"),
    DnsCheck(query="example.org", record="MX", dnssec=True),
    PingCheck(url="ping://example.org", gap=timedelta(milliseconds=50)),
    WsCheck(url=Secret("wss://example.org/"), subprotocols=["a"], send=Secret("s3cret")),
    ExecCheck(command=["/bin/true", "-x"], environment={"TOKEN": Secret("s3cret")}),
    PythonCheck(call="/x.py:f", arguments={"a": Secret("s3cret"), "b": 1, "c": True, "d": 1.5}),
]

texts = st.text(max_size=20)
instants = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
durations = st.timedeltas(timedelta(0), timedelta(days=2))
floats = st.floats(allow_nan=False)
# Built from the domain's own types, so that a field which is added to one of them is tried as well.
evidence = st.builds(
    Evidence,
    addresses=st.lists(texts, max_size=3).map(tuple),
    address=st.none() | texts,
    phases=st.builds(Phases, **dict.fromkeys(Phases.__dataclass_fields__, st.none() | durations)),
    status=st.none() | st.integers(100, 999),
    headers=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    tls=st.none()
    | st.builds(
        TlsFacts,
        version=st.none() | texts,
        chain=st.lists(
            st.builds(
                Certificate,
                names=st.lists(texts, max_size=2).map(tuple),
                not_before=instants,
                not_after=instants,
                bits=st.none() | st.integers(0, 16_384),
            ),
            max_size=2,
        ).map(tuple),
    ),
    redirects=st.lists(
        st.builds(Hop, status=st.integers(100, 999), phases=st.builds(Phases, dns=durations)), max_size=2
    ).map(tuple),
    dns=st.none() | st.builds(DnsFacts, answers=st.lists(texts, max_size=2).map(tuple)),
    ping=st.none() | st.builds(PingFacts, sent=st.integers(0, 100), rtts=st.lists(durations, max_size=3).map(tuple)),
    report=st.none()
    | st.builds(
        ProgramReport,
        outcome=st.sampled_from(Outcome),
        text=texts,
        figures=st.lists(st.tuples(texts, floats), max_size=2).map(tuple),
    ),
    said=texts,
)
seen = st.builds(Answer, evidence) | st.builds(Failure, st.sampled_from(Reason), texts, evidence, st.none() | texts)
verdicts = st.builds(
    Verdict,
    outcome=st.sampled_from(Outcome),
    label=texts,
    reason=st.none() | st.sampled_from(Reason),
    detail=texts,
    components=st.lists(st.builds(Component, outcome=st.sampled_from(Outcome)), max_size=2).map(tuple),
    assertions=st.lists(
        st.builds(AssertionResult, actual=st.lists(st.tuples(texts, texts), max_size=2).map(tuple)), max_size=2
    ).map(tuple),
)
results = st.builds(
    Result,
    observation=st.builds(
        Observation,
        monitor_id=texts,
        region=st.just("local"),
        due=instants,
        at=instants,
        elapsed=durations,
        seen=seen,
    ),
    verdict=verdicts,
)


def body(message: wire.Order | wire.Report) -> bytes:
    return wire.frame(message)[4:]


@settings(max_examples=100, deadline=None)
@given(st.lists(results, max_size=4), st.lists(st.tuples(texts, instants), max_size=3))
def test_a_batch_comes_out_as_it_went_in(sent: list[Result], over: list[tuple[str, datetime]]) -> None:
    rows = [wire.row_of(result) for result in sent]

    batch = wire.read_report(body(wire.Batch("local", rows, [(id_, wire.microseconds(due)) for id_, due in over])))

    assert isinstance(batch, wire.Batch)
    assert [wire.result_of(row, region=batch.region) for row in batch.rows] == sent
    assert [(id_, wire.instant(due)) for id_, due in batch.over] == over


@pytest.mark.parametrize("sign", sorted(PROBES))
def test_a_body_stays_behind(sign: str) -> None:
    result = a_result(sign)

    arrived = wire.result_of(wire.row_of(result), region="local")

    assert arrived.observation.evidence.body is None
    assert arrived.verdict == result.verdict
    assert arrived.observation.evidence.phases == result.observation.evidence.phases


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_nonsense_is_refused_and_nothing_else_happens(said: bytes) -> None:
    for read in (wire.read_order, wire.read_report):
        with contextlib.suppress(wire.WireError):
            read(said)


@settings(max_examples=100, deadline=None)
@given(st.data(), results)
def test_a_message_that_was_torn_or_garbled_is_refused_or_still_one(data: st.DataObject, result: Result) -> None:
    said = bytearray(body(wire.Batch("local", [wire.row_of(result)])))
    place = data.draw(st.integers(0, len(said) - 1))
    if data.draw(st.booleans()):
        del said[place:]
    else:
        said[place] ^= data.draw(st.integers(1, 255))

    with contextlib.suppress(wire.WireError):
        report = wire.read_report(bytes(said))
        if isinstance(report, wire.Batch):
            for row in report.rows:
                wire.result_of(row, region=report.region)


@pytest.mark.parametrize("us", [10**18, -(10**18), 2**63])
def test_an_impossible_instant_is_refused(us: int) -> None:
    with pytest.raises(wire.WireError):
        wire.instant(us)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.target))
def test_a_monitor_comes_out_with_all_that_looking_and_judging_need(check: Check) -> None:
    rules = Rules(
        expect=(parse("status == 200"), parse('text contains "ünïcode"')),
        prefer=(parse("latency < 500ms"),),
        health=HealthMode.REQUIRED,
        cert_warning=timedelta(days=3),
        health_in_path=True,
    )
    monitor = a_monitor("shop", every="7s", timeout="300ms", recover=3, in_step=True, rules=rules)

    order = wire.read_order(body(wire.Watch(1, [wire.task_of(watched(check, monitor))])))

    assert isinstance(order, wire.Watch)
    arrived = wire.watched_of(order.tasks[0])
    assert arrived.check == check
    assert (arrived.monitor.id, arrived.monitor.every, arrived.monitor.timeout) == (
        "shop",
        monitor.every,
        monitor.timeout,
    )
    assert arrived.monitor.rules == rules
    assert [each.text for each in arrived.monitor.rules.expect] == ["status == 200", 'text contains "ünïcode"']
    assert arrived.monitor.patience.passes == 3
    assert arrived.monitor.in_step


def test_every_kind_of_check_that_looks_is_tried_here() -> None:
    looking = set(plugins.names("checks")) - {"heartbeat", "group"}

    assert {plugins.name_of("checks", type(check)) for check in CHECKS} == looking


def test_monitors_with_the_same_rules_share_them_in_memory() -> None:
    one, other = (wire.watched_of(wire.task_of(watched(CHECKS[0], a_monitor(id_)))) for id_ in ("shop", "desk"))

    assert one.monitor.rules is other.monitor.rules


def test_no_message_shows_a_secret_in_its_error() -> None:
    task = wire.task_of(watched(CHECKS[0], a_monitor("shop")))
    broken = wire.Task(**{name: getattr(task, name) for name in task.__struct_fields__} | {"kind": "dns"})

    with pytest.raises(wire.WireError) as caught:
        wire.watched_of(broken)

    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_a_frame_of_impossible_length_is_refused() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"\xff\xff\xff\xff")

    with pytest.raises(wire.WireError, match="too long"):
        await wire.read_frame(reader)


async def test_the_end_of_the_stream_is_the_end_even_within_a_frame() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(wire.frame(wire.Begin())[:-1])
    reader.feed_eof()

    assert await wire.read_frame(reader) is None

"""Results as bytes: what goes in comes out, and what is not ours is refused."""

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laya_uptime.adapters.ledger import blob
from laya_uptime.adapters.ledger.blob import CODEC, Record, from_ms, pack, to_ms, unpack
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Evidence, Failure, Observation, Outcome, Phases, Result, Verdict
from laya_uptime.testing.builders import a_result
from laya_uptime.testing.clock import NOON

TENTH = timedelta(microseconds=100)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

milliseconds = st.integers(0, 4_102_444_800_000)  # 1970 up to 2100
tenths = st.integers(0, 0xFFFFFFFE)


@st.composite
def records(draw: st.DrawFn) -> Record:
    at = draw(milliseconds)
    outcome = draw(st.sampled_from(Outcome))
    return Record(
        monitor_id=draw(st.integers(0, 0xFFFFFFFF)),
        region_id=draw(st.integers(0, 0xFFFF)),
        at=from_ms(at),
        due=from_ms(at - draw(st.integers(-0x7FFFFFFF, 0x7FFFFFFF))),
        outcome=outcome,
        reason=draw(st.sampled_from([None, *Reason])),
        latency=draw(tenths) * TENTH,
        status=draw(st.none() | st.integers(1, 0xFFFF)),
        phases=tuple(draw(st.none() | tenths.map(lambda value: value * TENTH)) for _ in range(6)),
    )


def result_of(record: Record) -> Result:
    dns, connect, tls, send, wait, read = record.phases
    evidence = Evidence(
        status=record.status, phases=Phases(dns=dns, connect=connect, tls=tls, send=send, wait=wait, read=read)
    )
    observation = Observation(
        monitor_id="shop",
        region="local",
        due=record.due,
        at=record.at,
        elapsed=record.latency,
        seen=Answer(evidence),
    )
    verdict = Verdict(outcome=record.outcome, label="", reason=record.reason)
    return Result(observation=observation, verdict=verdict)


@given(st.lists(records(), max_size=20))
def test_what_is_packed_is_unpacked(wanted: list[Record]) -> None:
    packed = pack((record.monitor_id, record.region_id, result_of(record)) for record in wanted)

    assert list(unpack(packed)) == wanted


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001  hypothesis adds the zone
def test_an_instant_is_kept_to_the_millisecond(at: datetime) -> None:
    kept = from_ms(to_ms(at))

    assert timedelta(0) <= at - kept < timedelta(milliseconds=1)
    assert to_ms(kept) == to_ms(at)


def test_an_instant_of_any_zone_is_the_same_instant() -> None:
    from zoneinfo import ZoneInfo

    assert to_ms(NOON.astimezone(ZoneInfo("Asia/Kathmandu"))) == to_ms(NOON)


def test_the_first_byte_names_the_codec_and_a_result_takes_52_bytes() -> None:
    packed = pack([(1, 1, a_result())] * 3)

    assert packed[0] == CODEC == 1
    assert len(packed) == 1 + 3 * 50


def test_the_format_of_a_record_does_not_change() -> None:
    """What is on the disks of others must be read for ever; a change needs another codec."""
    record = Record(
        monitor_id=7,
        region_id=1,
        at=EPOCH + timedelta(milliseconds=1000),
        due=EPOCH + timedelta(milliseconds=990),
        outcome=Outcome.DOWN,
        reason=Reason.TIMEOUT,
        latency=timedelta(milliseconds=2),
        status=503,
        phases=(timedelta(milliseconds=1), None, None, None, None, None),
    )

    packed = pack([(7, 1, result_of(record))])

    assert packed.hex(" ") == (
        "01 07 00 00 00 01 00 e8 03 00 00 00 00 00 00 0a 00 00 00 02 05 14 00 00 00 f7 01 0a 00 00 00" + " ff" * 20
    )


def test_every_reason_and_every_outcome_has_its_place_once() -> None:
    """A new reason is appended to the list in blob.py; none moves, none is left out."""
    assert blob._REASONS[0] is None
    assert sorted(map(str, blob._REASONS[1:])) == sorted(Reason)
    assert sorted(blob._OUTCOMES) == sorted(Outcome)


def test_the_places_of_reasons_do_not_move() -> None:
    """They are stored. Add new words at the end of this list, as in blob.py."""
    words = (
        "dns refused unreachable reset timeout tls_expired tls_not_yet_valid tls_hostname tls_self_signed tls_untrusted"
        " tls_handshake http_status http_protocol truncated too_large redirect_loop redirect_blocked body_invalid"
        " assertion reported_degraded reported_unhealthy slow cert_expiring cert_weak heartbeat_late blocked_by_policy"
        " probe_offline internal"
    )

    assert [str(reason) for reason in blob._REASONS[1:]] == words.split()
    assert [str(outcome) for outcome in blob._OUTCOMES] == ["up", "degraded", "down", "unknown"]


def test_the_numbers_of_reasons_are_in_the_reference() -> None:
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "storage.md").read_text(encoding="utf-8")
    reference = " ".join(reference.split())

    assert not [
        number for number, reason in enumerate(blob._REASONS) if reason and f"{number} `{reason}`" not in reference
    ]


def test_an_empty_batch_is_a_blob_too() -> None:
    assert list(unpack(pack([]))) == []


@pytest.mark.parametrize("codec", [0, 2, 255])
def test_an_unknown_codec_is_refused(codec: int) -> None:
    with pytest.raises(ValueError, match="unknown codec"):
        list(unpack(bytes([codec]) + pack([(1, 1, a_result())])[1:]))


def test_what_is_empty_or_torn_is_refused() -> None:
    whole = pack([(1, 1, a_result())] * 2)

    with pytest.raises(ValueError, match="empty"):
        list(unpack(b""))
    for length in range(2, len(whole)):
        if (length - 1) % 50:
            with pytest.raises(ValueError, match="torn"):
                list(unpack(whole[:length]))


@given(st.binary(min_size=50, max_size=50 * 3))
def test_garbage_is_refused_with_a_value_error_or_read_as_something(garbage: bytes) -> None:
    garbage = garbage[: len(garbage) // 50 * 50]

    try:
        list(unpack(bytes([CODEC]) + garbage))
    except ValueError:
        return


def test_a_clock_that_was_set_between_due_and_start_stops_nothing() -> None:
    """A machine without a clock of its own starts in 1970 and learns the year a little later."""
    seen = Observation(
        monitor_id="shop", region="local", due=EPOCH, at=NOON, elapsed=timedelta(0), seen=Failure(Reason.DNS, "no")
    )
    back = Observation(
        monitor_id="shop", region="local", due=NOON, at=EPOCH, elapsed=timedelta(0), seen=Failure(Reason.DNS, "no")
    )
    verdict = Verdict(outcome=Outcome.DOWN, label="down", reason=Reason.DNS)

    first, second = unpack(pack((1, 1, Result(observation=each, verdict=verdict)) for each in (seen, back)))

    assert (first.at, second.at) == (NOON, EPOCH)
    assert first.due < first.at
    assert second.due > second.at


@pytest.mark.parametrize("status", [-1, 0, 70_000])
def test_a_status_that_no_server_has_stops_nothing(status: int) -> None:
    evidence = Evidence(status=status)
    observation = Observation(
        monitor_id="shop", region="local", due=NOON, at=NOON, elapsed=timedelta(0), seen=Answer(evidence)
    )
    verdict = Verdict(outcome=Outcome.UP, label="up")

    [record] = unpack(pack([(1, 1, Result(observation=observation, verdict=verdict))]))

    assert record.status in {None, 0xFFFF}


@pytest.mark.parametrize("elapsed", [timedelta(days=-1), timedelta(days=999_999)])
def test_a_duration_that_does_not_fit_is_cut_to_what_does(elapsed: timedelta) -> None:
    [record] = unpack(pack([(1, 1, a_result(elapsed=elapsed))]))

    assert timedelta(0) <= record.latency <= 0xFFFFFFFE * TENTH


def test_ids_that_do_not_fit_are_an_error_of_the_caller() -> None:
    with pytest.raises(struct.error):
        pack([(-1, 1, a_result())])


@pytest.mark.parametrize("sign", [".", "x", "u", "d", "?"])
def test_a_result_that_was_reduced_to_its_measures_is_stored_alike(sign: str) -> None:
    result = a_result(sign)

    assert pack([(1, 1, result.measured())]) == pack([(1, 1, result)])


@given(st.timedeltas(), st.datetimes(timezones=st.just(UTC)))
def test_instants_and_durations_are_rounded_down_exactly(took: timedelta, at: datetime) -> None:
    result = a_result(at=at, elapsed=took)

    assert to_ms(at) == (at - EPOCH) // timedelta(milliseconds=1)
    (record,) = unpack(pack([(1, 1, result)]))
    assert record.latency == min(max(took // TENTH, 0), 0xFFFFFFFE) * TENTH

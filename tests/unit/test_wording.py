"""How an alert reads, and how text of strangers is cut."""

import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laya_uptime.domain.alert import Alert, Statistics, Transition
from laya_uptime.domain.text import cut, cut_escaped, length, one_line
from laya_uptime.domain.wording import clock_text, details, instant_text, subject, summary
from laya_uptime.testing.notifier_contract import HOSTILE_NAMES, NOON, an_alert


def lines(alert: Alert, **options: Any) -> dict[str, str]:  # noqa: ANN401
    return {line.label: line.text for line in details(alert, **options)}


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0:00:00"),
        (timedelta(seconds=5), "0:00:05"),
        (timedelta(minutes=2), "0:02:00"),
        (timedelta(hours=1), "1:00:00"),
        (timedelta(hours=23, minutes=59, seconds=59), "23:59:59"),
        (timedelta(hours=26, seconds=5), "26:00:05"),
        (timedelta(days=365), "8760:00:00"),
        (timedelta(seconds=59, microseconds=999_999), "0:00:59"),
        (timedelta(seconds=-65), "-0:01:05"),
        (timedelta(microseconds=-1), "-0:00:00"),
    ],
)
def test_a_duration_never_turns_into_days(duration: timedelta, text: str) -> None:
    assert clock_text(duration) == text


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (timedelta(hours=1), "2026-02-17 03:30:00 +01:00"),
        (timedelta(0), "2026-02-17 03:30:00 +00:00"),
        (timedelta(hours=-3, minutes=-30), "2026-02-17 03:30:00 -03:30"),
        (timedelta(hours=5, minutes=45), "2026-02-17 03:30:00 +05:45"),
        (timedelta(minutes=19, seconds=32), "2026-02-17 03:30:00 +00:19"),
    ],
)
def test_an_instant_shows_its_offset(offset: timedelta, text: str) -> None:
    at = datetime(2026, 2, 17, 3, 30, 0, 999_999, tzinfo=timezone(offset))

    assert instant_text(at) == text


@pytest.mark.parametrize(
    ("transition", "headline", "sentence"),
    [
        (
            Transition.DOWN,
            "DOWN: AI Service - Connection refused",
            "AI Service is down since 2026-02-17 03:30:00 +01:00: Connection refused.",
        ),
        (
            Transition.REMINDER,
            "STILL DOWN: AI Service - Connection refused",
            "AI Service is still down since 2026-02-17 03:30:00 +01:00, 3 failures in a row: Connection refused.",
        ),
        (Transition.RECOVERED, "RECOVERED: AI Service after 0:02:00", "AI Service is back after 0:02:00."),
        (
            Transition.DEGRADED,
            "DEGRADED: AI Service - Connection refused",
            "AI Service is degraded since 2026-02-17 03:30:00 +01:00: Connection refused.",
        ),
        (Transition.HEALTHY, "HEALTHY: AI Service", "AI Service is healthy again."),
        (
            Transition.UNDELIVERED,
            "NOT DELIVERED: an alert for AI Service - Connection refused",
            "An alert for AI Service could not be delivered on another channel: Connection refused.",
        ),
    ],
)
def test_each_transition_has_its_words(transition: Transition, headline: str, sentence: str) -> None:
    assert subject(an_alert(transition)) == headline
    assert summary(an_alert(transition)) == sentence


def test_words_do_without_what_is_not_known() -> None:
    bare = {"detail": "", "first_failure": None, "confirmed": None, "downtime": None, "service": ""}

    assert subject(an_alert(Transition.DOWN, **bare)) == "DOWN: A service"
    assert summary(an_alert(Transition.DOWN, **bare)) == "A service is down."
    assert subject(an_alert(Transition.RECOVERED, **bare)) == "RECOVERED: A service"
    assert summary(an_alert(Transition.RECOVERED, **bare)) == "A service is back."


def test_one_failure_is_singular() -> None:
    alert = an_alert(
        Transition.REMINDER, statistics=Statistics(total_checks=1, total_failures=1, consecutive_failures=1)
    )

    assert ", 1 failure in a row:" in summary(alert)


def test_a_sentence_ends_in_one_full_stop() -> None:
    assert summary(an_alert(detail="It broke.")).endswith(": It broke.")


def test_a_trouble_shows_what_since_when_and_why() -> None:
    found = lines(
        an_alert(components=("disk_space warning, low",), assertions=("expected status == 200, actual status = 500",))
    )

    assert list(found.items()) == [
        ("Service", "AI Service"),
        ("Address", "http://localhost:8000/api/v1/health/liveness"),
        ("Message", "Service is down (3 consecutive failures)"),
        ("Reason", "refused - Connection refused"),
        ("Component", "disk_space warning, low"),
        ("Assertion", "expected status == 200, actual status = 500"),
        ("First failure", "2026-02-17 03:30:00 +01:00"),
        ("Confirmed", "2026-02-17 03:30:00 +01:00"),
        ("Checks", "150 since this start, 3 failed, 3 failures in a row"),
        ("Uptime", "98.00 % of checks"),
        ("Response time", "45 ms on average"),
        ("Incident", "ai-service-20260217T023000000Z"),
    ]


def test_a_recovery_shows_how_long_it_took_and_how_long_nobody_looked() -> None:
    found = lines(an_alert(Transition.RECOVERED, downtime=timedelta(hours=26, seconds=5), unseen=timedelta(hours=5)))

    assert found["Recovered"] == "2026-02-17 03:32:00 +01:00"
    assert found["Downtime"] == "26:00:05"
    assert found["Not watched"] == "5:00:00 of it nobody looked, so it counts as neither up nor down"


def test_the_time_of_sending_is_shown_where_it_is_given_in_the_readers_zone() -> None:
    sent_at = datetime(2026, 2, 17, 9, 0, tzinfo=UTC)

    assert lines(an_alert(), sent_at=sent_at)["Sent"] == "2026-02-17 10:00:00 +01:00"
    assert "Sent" not in lines(an_alert())


def test_many_components_are_counted_after_the_first_twenty() -> None:
    found = [
        line.text
        for line in details(an_alert(components=tuple(f"part {n}" for n in range(60))))
        if line.label == "Component"
    ]

    assert len(found) == 21
    assert found[-1] == "and 40 more"


def test_zero_answers_have_no_response_time() -> None:
    assert "Response time" not in lines(an_alert(statistics=Statistics()))


@pytest.mark.parametrize("transition", Transition)
@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES.keys())
def test_nothing_that_is_said_has_a_line_break_or_a_control_character(name: str, transition: Transition) -> None:
    alert = an_alert(
        transition, service=name, detail=name, url=name, message=name, components=(name,), assertions=(name,)
    )
    alert = replace(alert, incident_id=name)

    said = [subject(alert), summary(alert), *(line.text for line in details(alert, sent_at=NOON))]

    for text in said:
        assert text
        assert len(text.splitlines()) == 1
        assert not {unicodedata.category(char) for char in text} & {"Cc", "Zl", "Zp", "Cs"}
        assert length(text) <= 1300
    assert length(subject(alert)) <= 200


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\r\nb\tc\x00d", "a b c d"),
        ("  a  \n\n  b ", "a b"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("\u202egnp.exe", "gnp.exe"),
        ("cut \ud83d here", "cut \ufffd here"),
        ("👩‍👩‍👧‍👦", "👩‍👩‍👧‍👦"),
        ("שלום مرحبا", "שלום مرحبا"),
    ],
)
def test_text_of_strangers_goes_on_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


@pytest.mark.parametrize(
    ("text", "limit", "short"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("abcd", 1, "…"),
        ("abcd", 0, ""),
        ("a b c d", 3, "a…"),
        ("e\u0301e\u0301e\u0301", 4, "e\u0301…"),
        ("👍🏽👍🏽", 6, "👍🏽…"),
        ("👩‍👩‍👧‍👦x", 8, "…"),
        ("🇩🇪🇫🇷🇪🇸", 8, "🇩🇪…"),
        ("🇩🇪🇫🇷🇪🇸", 10, "🇩🇪🇫🇷…"),
        ("x🏴\U000e0067\U000e0062\U000e007f", 5, "x…"),
        ("1\ufe0f\u20e32\ufe0f\u20e3", 5, "1\ufe0f\u20e3…"),
        ("한국어", 2, "한…"),
        ("\u1112\u1161\u11ab\u1112\u1161", 4, "\u1112\u1161\u11ab…"),
        ("😀😀😀", 4, "😀…"),
        ("a" + "\u0301" * 500, 200, "a" + "\u0301" * 198 + "…"),
    ],
)
def test_a_cut_never_goes_through_a_character(text: str, limit: int, short: str) -> None:
    assert cut(text, limit) == short


@given(st.text(alphabet=st.characters(), max_size=60), st.integers(min_value=0, max_value=40))
def test_a_cut_fits_and_begins_like_the_text(text: str, limit: int) -> None:
    short = cut(text, limit)

    assert length(short) <= limit
    assert text.startswith(short.removesuffix("…"))
    assert short == text or short.endswith("…") or not limit


@given(st.text(alphabet="<&x😀\u0301", max_size=60), st.integers(min_value=1, max_value=40))
def test_an_escape_is_never_cut(text: str, limit: int) -> None:
    def escape(plain: str) -> str:
        return plain.replace("&", "&amp;").replace("<", "&lt;")

    short = cut_escaped(text, limit, escape)

    assert length(short) <= limit
    assert "&" not in short.replace("&amp;", "").replace("&lt;", "")

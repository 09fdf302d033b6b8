"""The verdict table, one row per line, and what a verdict says."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from laya_uptime.domain.assertion import parse
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import HealthMode, Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Body, Evidence, Observation, Outcome, Verdict
from laya_uptime.testing.observations import NOON, a_certificate, a_failure, an_answer, an_observation

UP, DEGRADED, DOWN, UNKNOWN = Outcome.UP, Outcome.DEGRADED, Outcome.DOWN, Outcome.UNKNOWN
DATA = Path(__file__).parent.parent / "data" / "health"
HTML = Body(content_type="text/html", text="<!doctype html><p>hello", size=23)
BROKEN = Body(content_type="application/json", text='{"sta', size=5, fault="not valid JSON at byte 5")
MISDECLARED = Body(content_type="text/plain", text="caf\ufffd", size=4, fault="the text is not UTF-8", misdeclared=True)


def rules(
    *,
    expect: str = "",
    prefer: str = "",
    health: HealthMode = HealthMode.REQUIRED,
    path: bool = False,
    warn_days: int = 14,
) -> Rules:
    return Rules(
        expect=tuple(parse(text) for text in expect.split(";") if text),
        prefer=tuple(parse(text) for text in prefer.split(";") if text),
        health=health,
        health_in_path=path,
        cert_warning=timedelta(days=warn_days),
    )


def says(verdict: Verdict) -> tuple[Outcome, str, Reason | None]:
    return verdict.outcome, verdict.label, verdict.reason


def word(text: object) -> dict[str, object]:
    return {"status": text}


TABLE = [
    *(
        pytest.param(code, {"status": said}, (UP, said, None), "", id=f"{code} and {said} is up")
        for code in (200, 204, 299)
        for said in ("healthy", "alive", "ready", "ok", "pass")
    ),
    pytest.param(200, word("UP"), (UP, "up", None), "", id="200 and UP is up, in lower case"),
    pytest.param(200, word("starting"), (UP, "starting", None), "", id="200 and a word we do not know is up"),
    *(
        pytest.param(
            code,
            {"status": said},
            (DEGRADED, "degraded", Reason.REPORTED_DEGRADED),
            f"the body says {said}",
            id=f"{code} and {said} is reported_degraded",
        )
        for code in (200, 503)
        for said in ("degraded", "warn", "warning", "partial")
    ),
    *(
        pytest.param(
            code,
            {"status": said},
            (DOWN, "unhealthy", Reason.REPORTED_UNHEALTHY),
            f"the body says {said}",
            id=f"{code} and {said} is reported_unhealthy",
        )
        for code in (200, 302, 404, 500, 503)
        for said in ("unhealthy", "down", "fail", "error", "critical", "not_ready", "out_of_service")
    ),
    pytest.param(
        503,
        word("healthy"),
        (DEGRADED, "degraded", Reason.HTTP_STATUS),
        "HTTP 503, but the body says healthy: the two contradict each other",
        id="503 and healthy is degraded http_status, because they contradict each other",
    ),
    pytest.param(
        503,
        word("starting"),
        (DOWN, "down", Reason.HTTP_STATUS),
        "HTTP 503, and the body says starting, a word we do not know",
        id="503 and a word we do not know is http_status: it contradicts nothing",
    ),
    pytest.param(
        500,
        word("healthy"),
        (DOWN, "down", Reason.HTTP_STATUS),
        "HTTP 500, though the body says healthy",
        id="500 and healthy is http_status",
    ),
    pytest.param(
        500,
        word("degraded"),
        (DOWN, "down", Reason.HTTP_STATUS),
        "HTTP 500, though the body says degraded",
        id="500 and degraded is http_status",
    ),
    *(
        pytest.param(
            code,
            HTML,
            (DOWN, "down", Reason.HTTP_STATUS),
            f"HTTP {code}",
            id=f"{code} without a document is http_status",
        )
        for code in (100, 199, 300, 302, 404, 500, 502, 503)
    ),
    pytest.param(
        200,
        HTML,
        (DOWN, "down", Reason.BODY_INVALID),
        "body is HTML, not a health document",
        id="200 and HTML is body_invalid",
    ),
    pytest.param(
        204, Body(), (DOWN, "down", Reason.BODY_INVALID), "body is empty", id="204 and nothing is body_invalid"
    ),
    pytest.param(
        200,
        BROKEN,
        (DOWN, "down", Reason.BODY_INVALID),
        "body is not valid JSON at byte 5",
        id="200 and broken JSON is body_invalid",
    ),
    pytest.param(
        200,
        [1],
        (DOWN, "down", Reason.BODY_INVALID),
        "body is a JSON list, not an object",
        id="200 and a list is body_invalid",
    ),
    pytest.param(
        200,
        word(1),
        (DOWN, "down", Reason.BODY_INVALID),
        "status is a number, not a word",
        id="200 and a number likewise",
    ),
    pytest.param(
        200, {"ok": True}, (DOWN, "down", Reason.BODY_INVALID), "body has no status word", id="200 and no word likewise"
    ),
]


def answer(code: int, body: object) -> Observation:
    return an_answer(code, body=body) if isinstance(body, Body) else an_answer(code, json=body)


@pytest.mark.parametrize(("code", "body", "expected", "detail"), TABLE)
def test_a_monitor_that_requires_a_health_document_judges_so(
    code: int, body: object, expected: tuple[Outcome, str, Reason | None], detail: str
) -> None:
    verdict = judge(answer(code, body), rules())

    assert says(verdict) == expected
    assert verdict.detail == detail


AUTO = [
    pytest.param(200, HTML, (UP, "up", None), id="200 and HTML is up"),
    pytest.param(200, BROKEN, (UP, "up", None), id="200 and broken JSON is up"),
    pytest.param(500, HTML, (DOWN, "down", Reason.HTTP_STATUS), id="500 and HTML is http_status"),
    pytest.param(200, word("alive"), (UP, "alive", None), id="200 and alive is up, labelled alive"),
    pytest.param(200, word("fail"), (DOWN, "unhealthy", Reason.REPORTED_UNHEALTHY), id="200 and fail is down"),
    pytest.param(
        503, word("pass"), (DEGRADED, "degraded", Reason.HTTP_STATUS), id="503 and pass contradict each other"
    ),
    pytest.param(503, word("warn"), (DEGRADED, "degraded", Reason.REPORTED_DEGRADED), id="503 and warn is degraded"),
]


@pytest.mark.parametrize(("code", "body", "expected"), AUTO)
def test_auto_reads_a_document_where_the_path_names_health_and_does_without_one(
    code: int, body: object, expected: tuple[Outcome, str, Reason | None]
) -> None:
    assert says(judge(answer(code, body), rules(health=HealthMode.AUTO, path=True))) == expected


def test_auto_reads_a_document_where_the_type_is_health_json() -> None:
    observation = an_answer(json=word("fail"), content_type="application/health+json")

    assert judge(observation, rules(health=HealthMode.AUTO)).reason is Reason.REPORTED_UNHEALTHY


def test_auto_looks_at_no_other_json() -> None:
    verdict = judge(an_answer(json=word("fail")), rules(health=HealthMode.AUTO))

    assert says(verdict) == (UP, "up", None)


@pytest.mark.parametrize("content_type", ["application/json", "application/health+json"])
def test_off_never_looks(content_type: str) -> None:
    off = rules(health=HealthMode.OFF, path=True)

    assert says(judge(an_answer(json=word("fail"), content_type=content_type), off)) == (UP, "up", None)
    assert says(judge(an_answer(503, json=word("ok"), content_type=content_type), off)) == (
        DOWN,
        "down",
        Reason.HTTP_STATUS,
    )


@pytest.mark.parametrize("health", HealthMode)
def test_what_is_not_http_has_no_document_to_miss(health: HealthMode) -> None:
    spoken = an_observation(Answer(Evidence(said="220 hello")))

    assert says(judge(spoken, rules(health=health, path=True))) == (UP, "up", None)


@pytest.mark.parametrize("reason", [reason for reason in Reason if not reason.is_ours])
def test_a_failure_is_down_with_its_own_reason(reason: Reason) -> None:
    verdict = judge(a_failure(reason, "Connection refused"), rules(expect="status == 200"))

    assert says(verdict) == (DOWN, "down", reason)
    assert verdict.detail == "Connection refused"
    assert verdict.assertions == ()


@pytest.mark.parametrize("reason", [Reason.PROBE_OFFLINE, Reason.INTERNAL, Reason.BLOCKED_BY_POLICY])
def test_our_own_trouble_is_unknown_and_never_down(reason: Reason) -> None:
    verdict = judge(a_failure(reason), rules())

    assert says(verdict) == (UNKNOWN, "unknown", reason)
    assert not verdict.is_failure


@pytest.mark.parametrize(
    ("phase", "doing"),
    [
        ("dns", "looking up the name"),
        ("connect", "connecting"),
        ("tls", "in the TLS handshake"),
        ("send", "sending the request"),
        ("wait", "waiting for the first byte"),
        ("read", "reading the answer"),
    ],
)
def test_a_timeout_says_what_was_under_way(phase: str, doing: str) -> None:
    verdict = judge(a_failure(Reason.TIMEOUT, "no answer within 10 s", phase=phase), rules())

    assert verdict.reason is Reason.TIMEOUT
    assert verdict.detail == f"no answer within 10 s, {doing}"


def test_a_failure_without_words_says_its_reason() -> None:
    assert judge(a_failure(Reason.RESET, " \n"), rules()).detail == "reset"


# What the first script got wrong: each is a verdict now.


def test_503_counts_as_healthy_no_more() -> None:
    verdict = judge(an_answer(503, json=word("healthy")), rules())

    assert says(verdict) == (DEGRADED, "degraded", Reason.HTTP_STATUS)
    assert judge(an_answer(503, body=HTML), rules()).outcome is DOWN


def test_a_body_that_says_critical_logs_no_check_mark() -> None:
    verdict = judge(an_answer(200, json=word("critical")), rules())

    assert says(verdict) == (DOWN, "unhealthy", Reason.REPORTED_UNHEALTHY)


@pytest.mark.parametrize("document", [["healthy"], {"status": 1}, {"status": ["healthy"]}, {"status": None}, "healthy"])
def test_a_json_list_or_a_non_string_status_is_body_invalid_and_no_attribute_error(document: object) -> None:
    verdict = judge(an_answer(200, json=document), rules())

    assert says(verdict) == (DOWN, "down", Reason.BODY_INVALID)


def test_an_unparsable_body_is_down_and_does_not_pass_for_up() -> None:
    verdict = judge(an_answer(200, body=BROKEN), rules())

    assert says(verdict) == (DOWN, "down", Reason.BODY_INVALID)
    assert verdict.is_failure


def test_a_readiness_route_that_answers_200_and_not_ready_is_down() -> None:
    assert says(judge(an_answer(200, json=word("not_ready")), rules())) == (
        DOWN,
        "unhealthy",
        Reason.REPORTED_UNHEALTHY,
    )


@pytest.mark.parametrize(
    ("name", "code", "expected", "detail"),
    [
        ("ai-liveness-200.http", 200, (UP, "alive", None), ""),
        ("gibbon-200-healthy.http", 200, (UP, "healthy", None), ""),
        (
            "gibbon-200-degraded.http",
            200,
            (DEGRADED, "degraded", Reason.REPORTED_DEGRADED),
            "upload_directory warning, Upload directory not found",
        ),
        (
            "gibbon-503-unhealthy.http",
            503,
            (DOWN, "unhealthy", Reason.REPORTED_UNHEALTHY),
            "database unhealthy, Database connection not available",
        ),
    ],
)
def test_the_recorded_answers_are_judged_as_they_say(
    name: str, code: int, expected: tuple[Outcome, str, Reason | None], detail: str
) -> None:
    head, _, body = (DATA / name).read_bytes().partition(b"\r\n\r\n")
    assert head.split()[1] == str(code).encode()

    verdict = judge(an_answer(code, json=msgspec.json.decode(body)), rules())

    assert says(verdict) == expected
    assert verdict.detail == detail


def checks(**parts: tuple[str, str]) -> dict[str, object]:
    return {name: {"status": said, "message": message} for name, (said, message) in parts.items()}


def test_the_detail_names_the_failing_components_the_worst_first() -> None:
    parts = checks(
        database=("healthy", "fine"),
        disk_space=("warning", "Disk space running low"),
        cache=("down", ""),
        upload_directory=("warning", "Upload directory not found"),
    )

    verdict = judge(an_answer(json={"status": "degraded", "checks": parts}), rules())

    assert verdict.detail == (
        "cache down; disk_space warning, Disk space running low; upload_directory warning, Upload directory not found"
    )
    assert [component.name for component in verdict.components] == [
        "database",
        "disk_space",
        "cache",
        "upload_directory",
    ]


def test_a_part_that_only_passes_on_what_its_parts_say_is_not_named() -> None:
    document = {"status": "DOWN", "components": {"db": {"status": "DOWN", "components": {"a": {"status": "DOWN"}}}}}

    assert judge(an_answer(503, json=document), rules()).detail == "db.a down"


def test_the_detail_names_ten_components_and_counts_the_rest() -> None:
    parts = checks(**{f"part{n}": ("down", "") for n in range(13)})

    detail = judge(an_answer(json={"status": "down", "checks": parts}), rules()).detail

    assert detail.startswith("part0 down; part1 down;")
    assert detail.endswith("part9 down; and 3 more")


def test_the_detail_stays_short_whatever_the_components_say() -> None:
    parts = checks(**{"x" * 500 + str(n): ("fail", "y" * 5000) for n in range(50)})

    assert len(judge(an_answer(json={"status": "fail", "checks": parts}), rules()).detail) <= 600


def test_a_component_in_trouble_does_not_speak_for_the_whole() -> None:
    verdict = judge(an_answer(json={"status": "ok", "checks": checks(cache=("down", ""))}), rules())

    assert says(verdict) == (UP, "ok", None)
    assert verdict.components[0].outcome is DOWN


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (200, (DOWN, Reason.BODY_INVALID, "the text is not UTF-8")),
        (500, (DOWN, Reason.HTTP_STATUS, "HTTP 500")),
    ],
)
@pytest.mark.parametrize("health", [HealthMode.AUTO, HealthMode.OFF])
def test_a_body_that_does_not_fit_its_charset_is_body_invalid_unless_the_code_is_down_already(
    code: int, expected: tuple[Outcome, Reason, str], health: HealthMode
) -> None:
    verdict = judge(an_answer(code, body=MISDECLARED), rules(health=health))

    assert (verdict.outcome, verdict.reason, verdict.detail) == expected


def test_an_expectation_that_welcomes_the_code_does_not_excuse_the_charset() -> None:
    verdict = judge(an_answer(404, body=MISDECLARED), rules(expect="status == 404", health=HealthMode.AUTO))

    assert verdict.reason is Reason.BODY_INVALID


ASSERTIONS = [
    pytest.param("status == 404", "", 404, HTML, "auto", (UP, None), id="a code that is expected is up"),
    pytest.param(
        "status == 404", "", 200, HTML, "auto", (DOWN, Reason.ASSERTION), id="a good code that is not expected"
    ),
    pytest.param('text contains "hello"', "", 500, HTML, "auto", (UP, None), id="the default expectation is replaced"),
    pytest.param(
        'text contains "bye"', "", 500, HTML, "auto", (DOWN, Reason.ASSERTION), id="what is expected must hold"
    ),
    pytest.param(
        "", "latency < 1ms", 200, HTML, "auto", (DEGRADED, Reason.ASSERTION), id="what is preferred should hold"
    ),
    pytest.param(
        "", "latency < 1ms", 500, HTML, "auto", (DOWN, Reason.HTTP_STATUS), id="prefer keeps the default code"
    ),
    pytest.param("", "latency < 1s", 200, HTML, "auto", (UP, None), id="a preference that holds"),
    pytest.param(
        "latency < 1ms", "latency < 2ms", 200, HTML, "auto", (DOWN, Reason.ASSERTION), id="expect is worse than prefer"
    ),
    pytest.param(
        "latency < 1s", "", 500, word("ok"), "auto", (DOWN, Reason.HTTP_STATUS), id="a document keeps the code rules"
    ),
    pytest.param(
        "latency < 1s", "", 503, word("ok"), "auto", (DEGRADED, Reason.HTTP_STATUS), id="and the contradiction too"
    ),
    pytest.param(
        "status in [200, 503]", "", 503, word("ok"), "auto", (UP, None), id="unless expect judges the codes itself"
    ),
    pytest.param(
        "latency < 1s;status < 600", "", 500, word("ok"), "auto", (UP, None), id="in any one of its expressions"
    ),
    pytest.param(
        "status == 503",
        "",
        503,
        word("degraded"),
        "auto",
        (DEGRADED, Reason.REPORTED_DEGRADED),
        id="a degraded word still counts",
    ),
    pytest.param(
        "status == 503",
        "",
        503,
        word("down"),
        "auto",
        (DOWN, Reason.REPORTED_UNHEALTHY),
        id="an unhealthy word still counts",
    ),
    pytest.param(
        "status == 500",
        "",
        500,
        word("warn"),
        "auto",
        (DEGRADED, Reason.REPORTED_DEGRADED),
        id="with any expected code",
    ),
    pytest.param("status == 200", "", 200, HTML, "required", (DOWN, Reason.BODY_INVALID), id="required stays required"),
    pytest.param(
        "status == 404", "", 404, HTML, "required", (DOWN, Reason.BODY_INVALID), id="on an expected code as well"
    ),
    pytest.param(
        "status == 200", "", 500, HTML, "required", (DOWN, Reason.ASSERTION), id="a refused code explains it better"
    ),
    pytest.param("latency < 1s", "", 500, HTML, "required", (DOWN, Reason.HTTP_STATUS), id="and so does a bad one"),
    pytest.param(
        "latency < 1ms",
        "",
        200,
        word("fail"),
        "required",
        (DOWN, Reason.REPORTED_UNHEALTHY),
        id="the word speaks first",
    ),
    pytest.param(
        "latency < 1ms",
        "",
        503,
        word("warn"),
        "required",
        (DOWN, Reason.ASSERTION),
        id="the worst outcome wins over the first word",
    ),
]


@pytest.mark.parametrize(("expect", "prefer", "code", "body", "health", "expected"), ASSERTIONS)
def test_expectations_and_preferences(
    expect: str, prefer: str, code: int, body: object, health: str, expected: tuple[Outcome, Reason | None]
) -> None:
    verdict = judge(answer(code, body), rules(expect=expect, prefer=prefer, health=HealthMode(health), path=True))

    assert (verdict.outcome, verdict.reason) == expected


def test_a_failed_assertion_shows_expected_and_actual() -> None:
    verdict = judge(
        an_answer(200, json={"db": "down"}),
        rules(expect='status == 200;body.db == "up";body.db != "down"', health=HealthMode.OFF),
    )

    assert says(verdict) == (DOWN, "down", Reason.ASSERTION)
    assert verdict.detail == (
        'expected body.db == "up", actual body.db = "down"; expected body.db != "down", actual body.db = "down"'
    )


def test_a_verdict_keeps_every_assertion_expected_ones_first() -> None:
    verdict = judge(
        an_answer(200, elapsed=timedelta(milliseconds=600)),
        rules(expect="status == 200", prefer="latency < 500ms;size < 1KB", health=HealthMode.OFF),
    )

    assert [(result.text, result.holds) for result in verdict.assertions] == [
        ("status == 200", True),
        ("latency < 500ms", False),
        ("size < 1KB", True),
    ]
    assert verdict.detail == "expected latency < 500ms, actual latency = 600 ms"


CERTIFICATES = [
    pytest.param(timedelta(days=15), 14, UP, "", id="more than its warning days"),
    pytest.param(timedelta(days=14), 14, DEGRADED, "expires in 14 days, 2026-12-09", id="exactly its warning days"),
    pytest.param(timedelta(days=6, hours=7), 14, DEGRADED, "expires in 6 days, 2026-12-01", id="six days"),
    pytest.param(timedelta(days=1, hours=12), 14, DEGRADED, "expires in 36 hours, 2026-11-27", id="a day and a half"),
    pytest.param(timedelta(hours=1), 14, DEGRADED, "expires in 1 hour, 2026-11-25", id="one hour"),
    pytest.param(timedelta(0), 14, DEGRADED, "expires in 0 hours, 2026-11-25", id="now"),
    pytest.param(-timedelta(days=3), 14, DEGRADED, "expired 3 days ago, 2026-11-22", id="past, on an insecure check"),
    pytest.param(timedelta(days=6), 0, UP, "", id="no warning wanted"),
    pytest.param(timedelta(days=40), 60, DEGRADED, "expires in 40 days, 2027-01-04", id="an early warning"),
]


@pytest.mark.parametrize(("left", "warn_days", "outcome", "detail"), CERTIFICATES)
def test_a_certificate_within_its_warning_days_is_degraded(
    left: timedelta, warn_days: int, outcome: Outcome, detail: str
) -> None:
    observation = an_answer(200, json=word("ok"), certificate=a_certificate(NOON + left))

    verdict = judge(observation, rules(warn_days=warn_days))

    assert verdict.outcome is outcome
    assert verdict.reason is (Reason.CERT_EXPIRING if detail else None)
    assert verdict.detail == (f"certificate {detail}" if detail else "")
    assert verdict.label == ("degraded" if detail else "ok")


def test_a_certificate_is_judged_at_the_instant_that_is_asked_for() -> None:
    observation = an_answer(200, json=word("ok"), certificate=a_certificate(NOON + timedelta(days=30)))

    assert judge(observation, rules()).outcome is UP
    assert judge(observation, rules(), at=NOON + timedelta(days=29)).reason is Reason.CERT_EXPIRING


@pytest.mark.parametrize(
    ("observation", "prefer", "reason"),
    [
        (an_answer(503, json=word("warn")), "latency < 1ms", Reason.REPORTED_DEGRADED),
        (an_answer(503, json=word("ok")), "latency < 1ms", Reason.HTTP_STATUS),
        (an_answer(200, json=word("ok")), "latency < 1ms", Reason.ASSERTION),
        (an_answer(200, json=word("ok")), "", Reason.CERT_EXPIRING),
    ],
    ids=["the word", "the code", "the preference", "the certificate"],
)
def test_among_causes_of_one_outcome_they_speak_in_a_fixed_order(
    observation: Observation, prefer: str, reason: Reason
) -> None:
    assert isinstance(observation.seen, Answer)
    body, code = observation.evidence.body, observation.evidence.status
    expiring = an_answer(code, body=body, certificate=a_certificate(NOON + timedelta(days=2)))

    verdict = judge(expiring, rules(prefer=prefer))

    assert (verdict.outcome, verdict.reason) == (DEGRADED, reason)


def test_a_target_that_speaks_no_http_is_up_when_it_speaks() -> None:
    verdict = judge(an_observation(Answer(Evidence())), rules(health=HealthMode.AUTO))

    assert says(verdict) == (UP, "up", None)


def test_a_required_document_is_missed_where_there_is_no_body() -> None:
    verdict = judge(an_observation(Answer(Evidence(status=200))), rules())

    assert (verdict.reason, verdict.detail) == (Reason.BODY_INVALID, "there is no body")

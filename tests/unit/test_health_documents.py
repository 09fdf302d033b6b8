"""What services say of themselves, in every dialect, and the exact words where they say nothing."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laya_uptime.domain.health import HealthDocument, NoDocument, path_names_health, read
from laya_uptime.domain.result import Body, Component, Outcome

UP, DEGRADED, DOWN = Outcome.UP, Outcome.DEGRADED, Outcome.DOWN
DATA = Path(__file__).parent.parent / "data" / "health"


def json_body(document: object, content_type: str = "application/json") -> Body:
    return Body(content_type=content_type, document=document, is_document=True)


def document_in(body: Body) -> HealthDocument:
    found = read(body)
    assert isinstance(found, HealthDocument)
    return found


def recorded(name: str) -> HealthDocument:
    """Read one recorded answer: head, empty line, body."""
    raw = (DATA / name).read_bytes()
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 ")
    return document_in(json_body(msgspec.json.decode(body)))


def parts(found: HealthDocument) -> list[tuple[str, str, Outcome]]:
    return [(component.name, component.word, component.outcome) for component in found.components]


def test_the_recorded_liveness_route_says_alive_and_nothing_else() -> None:
    found = recorded("ai-liveness-200.http")

    assert (found.label, found.outcome, found.components) == ("alive", UP, ())


def test_the_recorded_healthy_page_names_five_healthy_components() -> None:
    found = recorded("gibbon-200-healthy.http")

    assert (found.label, found.outcome) == ("healthy", UP)
    assert parts(found) == [
        (name, "healthy", UP) for name in ("database", "php_extensions", "disk_space", "upload_directory", "session")
    ]
    assert found.components[0].message == "Database connection successful"


def test_the_recorded_degraded_page_names_the_missing_upload_directory() -> None:
    found = recorded("gibbon-200-degraded.http")

    assert (found.label, found.outcome) == ("degraded", DEGRADED)
    assert [component for component in found.components if component.outcome is not UP] == [
        Component(name="upload_directory", word="warning", outcome=DEGRADED, message="Upload directory not found")
    ]


def test_the_recorded_unhealthy_page_names_the_database() -> None:
    found = recorded("gibbon-503-unhealthy.http")

    assert (found.label, found.outcome) == ("unhealthy", DOWN)
    assert found.components[0] == Component(
        name="database", word="unhealthy", outcome=DOWN, message="Database connection not available"
    )


DIALECTS = [
    pytest.param(
        {
            "status": "degraded",
            "service": "parent-portal",
            "checks": {
                "aiService": {
                    "status": "unhealthy",
                    "connected": False,
                    "error": "fetch failed",
                    "apiUrl": "http://ai",
                },
                "gibbon": {"status": "healthy", "connected": True, "responseTime": 1795455562341},
            },
        },
        ("degraded", DEGRADED),
        [("aiService", "unhealthy", DOWN, "fetch failed"), ("gibbon", "healthy", UP, "")],
        id="Parent Portal",
    ),
    pytest.param(
        {
            "status": "DOWN",
            "components": {
                "db": {
                    "status": "DOWN",
                    "components": {
                        "primary": {"status": "UP", "details": {"database": "PostgreSQL"}},
                        "replica": {"status": "DOWN", "details": {"error": "refused"}},
                    },
                },
                "diskSpace": {"status": "UP", "details": {"total": 1}},
            },
        },
        ("down", DOWN),
        [
            ("db", "down", DOWN, ""),
            ("db.primary", "up", UP, ""),
            ("db.replica", "down", DOWN, ""),
            ("diskSpace", "up", UP, ""),
        ],
        id="Spring Boot",
    ),
    pytest.param(
        {"status": "OUT_OF_SERVICE", "details": {"db": {"status": "UP"}, "mode": "active"}},
        ("out_of_service", DOWN),
        [("db", "up", UP, "")],
        id="Spring Boot before 2.2",
    ),
    pytest.param(
        {
            "status": "warn",
            "checks": {
                "cassandra:responseTime": [
                    {"componentId": "node-a", "status": "pass"},
                    {"componentId": "node-b", "status": "warn", "output": "slow"},
                    {"status": "fail"},
                ],
                "uptime": [{"observedValue": 5}],
            },
        },
        ("warn", DEGRADED),
        [
            ("cassandra:responseTime", "pass", UP, ""),
            ("cassandra:responseTime node-b", "warn", DEGRADED, "slow"),
            ("cassandra:responseTime 3", "fail", DOWN, ""),
        ],
        id="IETF health+json",
    ),
    pytest.param(
        {"status": "UP", "checks": [{"name": "db", "status": "DOWN", "data": {}}, {"status": "UP"}, 5]},
        ("up", UP),
        [("db", "down", DOWN, "")],
        id="MicroProfile",
    ),
    pytest.param(
        {"status": "Degraded", "results": {"sql": {"status": "Degraded", "description": "slow", "data": {}}}},
        ("degraded", DEGRADED),
        [("sql", "degraded", DEGRADED, "slow")],
        id="ASP.NET results",
    ),
    pytest.param(
        {"status": "Unhealthy", "totalDuration": "0", "entries": {"sql": {"status": "Unhealthy", "tags": []}}},
        ("unhealthy", DOWN),
        [("sql", "unhealthy", DOWN, "")],
        id="ASP.NET entries",
    ),
    pytest.param(
        {"Status": "Healthy", "Results": {"sql": {"Status": "Healthy", "Description": "fine"}}},
        ("healthy", UP),
        [("sql", "healthy", UP, "fine")],
        id="ASP.NET in capitals",
    ),
    pytest.param(
        {"status": "ok", "checks": {"database": "ok", "redis": "DOWN", "version": "1.2.3", "ready": True}},
        ("ok", UP),
        [("database", "ok", UP, ""), ("redis", "down", DOWN, "")],
        id="words alone",
    ),
    pytest.param({"status": "ok"}, ("ok", UP), [], id="plain"),
    pytest.param({"status": "ok", "checks": None, "details": "fine"}, ("ok", UP), [], id="no parts"),
    pytest.param(
        {"status": "ok", "checks": {"a": {"status": 5}, "b": {"status": " "}, "c": None, "d": {}, "e": [None]}},
        ("ok", UP),
        [],
        id="parts without a word",
    ),
]


@pytest.mark.parametrize(("document", "said", "components"), DIALECTS)
def test_each_dialect_is_read(
    document: object, said: tuple[str, Outcome], components: list[tuple[str, str, Outcome, str]]
) -> None:
    found = document_in(json_body(document))

    assert (found.label, found.outcome) == said
    assert [(c.name, c.word, c.outcome, c.message) for c in found.components] == components


@pytest.mark.parametrize(
    ("word", "outcome", "is_known"),
    [
        *(
            (word, UP, True)
            for word in ("healthy", "ok", "OK", "Okay", "UP", "pass", "alive", "ready", "green", "success")
        ),
        *(
            (word, DEGRADED, True)
            for word in ("degraded", "Degraded", "warn", "warning", "partial", "yellow", "at risk")
        ),
        *((word, DOWN, True) for word in ("unhealthy", "DOWN", "fail", "failed", "error", "critical", "red", "fatal")),
        *((word, DOWN, True) for word in ("not_ready", "not-ready", "Not Ready", "NotReady", "OUT_OF_SERVICE", "dead")),
        *((word, UP, False) for word in ("starting", "maintenance", "UNKNOWN", "42", "ça va")),
    ],
)
def test_words_are_compared_whatever_their_case_and_gaps(word: str, outcome: Outcome, is_known: bool) -> None:
    found = document_in(json_body({"status": f" {word}\n"}))

    assert (found.outcome, found.is_known) == (outcome, is_known)
    assert found.label == word.lower()


@pytest.mark.parametrize(
    ("status", "label"),
    [
        ("UP", "up"),
        ("Out Of Service", "out of service"),
        ("a\nb\x1b[2J", "a\\nb\\x1b[2j"),
        ("\u202eko", "\\u202eko"),
        ("x" * 5000, "x" * 39 + "…"),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_label_is_the_word_as_written_safe_for_one_log_line(status: str, label: str) -> None:
    assert document_in(json_body({"status": status})).label == label


@pytest.mark.parametrize("text", ["OK", "ok\n", " Healthy ", "not ready", "DEGRADED"])
@pytest.mark.parametrize("content_type", ["text/plain", ""])
def test_a_plain_text_of_one_known_word_is_a_document(text: str, content_type: str) -> None:
    found = document_in(Body(content_type=content_type, text=text, size=len(text)))

    assert found.is_known
    assert found.label == text.strip().lower()


NONE = [
    pytest.param(None, "there is no body", id="no body"),
    pytest.param(Body(), "body is empty", id="nothing"),
    pytest.param(Body(content_type="application/json", text=" \n"), "body is empty", id="white space"),
    pytest.param(
        Body(content_type="text/html", text="<p>hello"), "body is HTML, not a health document", id="HTML by its type"
    ),
    pytest.param(
        Body(content_type="application/json", text="<!DOCTYPE html><html>", fault="not valid JSON at byte 0"),
        "body is HTML, not a health document",
        id="HTML that claims to be JSON",
    ),
    pytest.param(Body(text="\n <HTML>"), "body is HTML, not a health document", id="HTML by its looks"),
    pytest.param(
        Body(content_type="text/plain", text="all is well"),
        "body is plain text, not a health document",
        id="prose",
    ),
    pytest.param(
        Body(content_type="image/png", text="\x89PNG"), "body is image/png, not a health document", id="a picture"
    ),
    pytest.param(
        Body(content_type="application/json", text='{"status":', fault="not valid JSON at byte 10"),
        "body is not valid JSON at byte 10",
        id="broken JSON",
    ),
    pytest.param(
        Body(text="é", fault="the charset latin-9 does not fit"), "the charset latin-9 does not fit", id="another fault"
    ),
    pytest.param(json_body([{"status": "ok"}]), "body is a JSON list, not an object", id="a list"),
    pytest.param(json_body("ok"), "body is a JSON text, not an object", id="a text"),
    pytest.param(json_body(1), "body is a JSON number, not an object", id="a number"),
    pytest.param(json_body(0.5), "body is a JSON number, not an object", id="a fraction"),
    pytest.param(json_body(True), "body is a JSON truth value, not an object", id="true"),
    pytest.param(json_body(None), "body is a JSON null, not an object", id="null"),
    pytest.param(json_body({}), "body has no status word", id="an empty object"),
    pytest.param(json_body({"ok": True}), "body has no status word", id="ok without a word"),
    pytest.param(json_body({"status": 200}), "status is a number, not a word", id="a status number"),
    pytest.param(json_body({"status": True}), "status is true or false, not a word", id="a status truth"),
    pytest.param(json_body({"status": None}), "status is null, not a word", id="a status of null"),
    pytest.param(json_body({"status": ["ok"]}), "status is a list, not a word", id="a status list"),
    pytest.param(json_body({"status": {"code": "ok"}}), "status is an object, not a word", id="a status object"),
    pytest.param(json_body({"status": " \t"}), "status is an empty text, not a word", id="an empty status"),
]


@pytest.mark.parametrize(("body", "why"), NONE)
def test_where_there_is_no_document_the_cause_is_exact(body: Body | None, why: str) -> None:
    assert read(body) == NoDocument(why)


@pytest.mark.parametrize(
    "path",
    [
        "/health",
        "/healthz",
        "/api/v1/health/liveness",
        "/modules/System/health.php",
        "/api/health",
        "/actuator",
        "/actuator/info",
        "/readiness/",
        "/server-status",
        "/status.json?full=1",
        "/app_status",
        "/HEALTH",
        "health",
    ],
)
def test_a_path_names_health_by_a_word_of_its_own(path: str) -> None:
    assert path_names_health(path)


@pytest.mark.parametrize(
    "path", ["", "/", "/healthcare", "/statuses", "/unhealthy", "/wealth", "/search?q=/health", "/a#/health", "/livez"]
)
def test_a_path_that_merely_contains_such_a_word_names_nothing(path: str) -> None:
    assert not path_names_health(path)


def test_messages_are_texts_on_one_short_line() -> None:
    found = document_in(
        json_body(
            {
                "status": "ok",
                "checks": {
                    "lines": {"status": "ok", "message": "one\r\ntwo\x00\x1b[2J"},
                    "long": {"status": "ok", "message": "x" * 100_000},
                    "no text": {"status": "ok", "message": {"a": 1}, "description": 5, "output": "third choice"},
                    "blank": {"status": "ok", "message": " \n", "error": "what it says"},
                },
            }
        )
    )

    messages = [component.message for component in found.components]
    assert messages[0] == "one two [2J"
    assert len(messages[1]) == 200
    assert messages[2:] == ["third choice", "what it says"]


def test_no_more_than_a_hundred_components_are_kept() -> None:
    found = document_in(json_body({"status": "ok", "checks": {f"part {n}": {"status": "ok"} for n in range(5000)}}))

    assert len(found.components) == 100
    assert found.components[99].name == "part 99"


def test_names_are_short_and_printable() -> None:
    found = document_in(json_body({"status": "ok", "checks": {"x\n" * 5000: {"status": "down" * 5000}}}))

    [component] = found.components
    assert len(component.name) <= 80
    assert len(component.word) <= 40
    assert (component.name + component.word).isprintable()


def nested(levels: int) -> object:
    inside: object = {"status": "DOWN"}
    for _ in range(levels):
        inside = {"status": "UP", "components": {"n": inside}}
    return inside


def test_nesting_is_followed_eight_levels_and_then_let_be() -> None:
    found = document_in(json_body(nested(100_000)))

    assert [component.name for component in found.components] == [".".join("n" * depth) for depth in range(1, 9)]


def test_large_heaps_of_nothing_are_given_up() -> None:
    heap = {f"n{n}": n for n in range(100_000)}
    found = document_in(json_body({"status": "ok", "checks": heap, "components": {"late": {"status": "down"}}}))

    assert parts(found) == [("late", "down", DOWN)]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=60),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["status", "Status", "checks", "components", "details", "name", "message", "componentId"])
            | st.text(st.characters(codec=None), max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(deadline=None)
@given(ANYTHING, st.text(st.characters(codec=None), max_size=50), st.booleans(), st.none() | st.text(max_size=10))
def test_reading_any_body_raises_nothing_and_stays_on_one_line(
    document: object, text: str, is_document: bool, fault: str | None
) -> None:
    found = read(Body(content_type=text[:12], text=text, document=document, is_document=is_document, fault=fault))

    if isinstance(found, NoDocument):
        assert found.why
        assert "\n" not in found.why
    else:
        assert found.label
        assert found.label.isprintable()
        assert all((c.name + c.word).isprintable() and "\n" not in c.message for c in found.components)

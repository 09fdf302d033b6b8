"""What each operand reads and each operator means."""

import subprocess
import sys
from datetime import timedelta

import pytest

from laya_uptime.domain.assertion import parse
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Body, Evidence, Hop, Observation, Phases
from laya_uptime.testing.observations import NOON, a_certificate, a_failure, an_answer, an_observation

MS = timedelta(milliseconds=1)

ALL = an_answer(
    200,
    json={
        "status": "UP",
        "db": {"state": "up", "lag": 1.5, "replicas": 3, "ready": 3, "up": True, "note": None},
        "items": [{"x": 1}, {"x": "last"}],
        "a b": "spaced",
        "not-ready": False,
        "tags": ["blue", "green", 7, True],
        "components": {"disk space": {"status": "OUT-OF-SERVICE"}, "db": {"status": "UP"}},
    },
    headers=(("server", "nginx"), ("x-via", "a"), ("x-via", "b")),
    phases=Phases(dns=1 * MS, connect=2 * MS, tls=3 * MS, send=4 * MS, wait=50 * MS, read=6 * MS),
    certificate=a_certificate(NOON + timedelta(days=20)),
    redirects=(Hop(url="http://a/", status=301, location="https://a/", phases=Phases()),),
    elapsed=412 * MS,
)
BARE = an_observation(Answer(Evidence()))


def holds(text: str, observation: Observation = ALL) -> bool:
    return parse(text).test(observation).holds


@pytest.mark.parametrize(
    ("expression", "actual"),
    [
        ("status == 200", "200"),
        ("latency == 412ms", "412 ms"),
        ("phase.dns == 1ms", "1 ms"),
        ("phase.connect == 2ms", "2 ms"),
        ("phase.tls == 3ms", "3 ms"),
        ("phase.send == 4ms", "4 ms"),
        ("phase.wait == 50ms", "50 ms"),
        ("phase.read == 6ms", "6 ms"),
        ('body.status == "UP"', '"UP"'),
        ("body.db.lag == 1.5", "1.5"),
        ("body.db.note == null", "null"),
        ("body.items[0].x == 1", "1"),
        ('body.items[-1].x == "last"', '"last"'),
        ('body["a b"] == "spaced"', '"spaced"'),
        ("body['db'][\"lag\"] == 1.5", "1.5"),
        ("body.not-ready == false", "false"),
        ('jsonpath("$.items[0].x") == 1', "1"),
        ('jsonpath(\'$.items[?@.x == "last"].x\') == "last"', '"last"'),
        ('jsonpath("$.items[*].x") contains 1', '[1, "last"]'),
        ('text contains "spaced"', None),
        ("size > 100B", None),
        ('header["Server"] == "nginx"', '"nginx"'),
        ('header["X-VIA"] == "a, b"', '"a, b"'),
        ("tls.expires_in == 20d", "20 days"),
        ('tls.version == "TLSv1.3"', '"TLSv1.3"'),
        ('tls.issuer contains "Example"', '"CN=Example CA"'),
        ('health.status == "up"', '"up"'),
        ('health.components["disk space"] == "out of service"', '"out_of_service"'),
        ("redirects == 1", "1"),
        ('ip == "192.0.2.10"', '"192.0.2.10"'),
    ],
)
def test_every_operand_reads_what_it_is_named_for_and_keeps_it_as_evidence(expression: str, actual: str | None) -> None:
    result = parse(expression).test(ALL)

    assert result.holds
    [(operand, value)] = result.actual
    assert expression.startswith(operand)
    assert actual is None or value == actual


ABSENT = [
    "status == 200",
    "phase.dns < 1s",
    'body.status == "UP"',
    'jsonpath("$.x") == 1',
    'text == ""',
    "size < 1MB",
    'header["Server"] != "x"',
    "tls.expires_in > 14d",
    'tls.version != "x"',
    'tls.issuer != "x"',
    'dns.rcode != "NXDOMAIN"',
    'dns.answers contains "192.0.2.1"',
    'health.status != "down"',
    'health.components["db"] != "down"',
    "redirects < 5",
    'ip != "x"',
]


@pytest.mark.parametrize("expression", ABSENT)
def test_an_absent_operand_makes_every_comparison_false_and_its_negation_true(expression: str) -> None:
    result = parse(expression).test(BARE)

    assert not result.holds
    assert [value for _, value in result.actual] == ["absent"]
    assert holds(f"not ({expression})", BARE)


@pytest.mark.parametrize("symbol", ["==", "!=", "<", "<=", ">", ">="])
@pytest.mark.parametrize("right", ["1", "body.status", "body.missing"])
def test_absence_is_false_on_either_side_of_every_comparison(symbol: str, right: str) -> None:
    assert not holds(f"body.missing {symbol} {right}")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("status == 200", True),
        ("status != 200", False),
        ("status < 201", True),
        ("status <= 200", True),
        ("status > 200", False),
        ("status >= 200", True),
        ("status in 200..299", True),
        ("status in 199..200", True),
        ("status in 200..200", True),
        ("status in 201..299", False),
        ("status in [200, 204]", True),
        ("status in [204]", False),
        ("status in [300..399, 200]", True),
        ("latency in 400ms..0.5s", True),
        ("latency >= 412ms", True),
        ("latency < 0.412s", False),
        ("latency < 10m and latency < 4h and latency < 14d", True),
        ("size < 1KB", True),
        ("size < 1kib", True),
        ("body.db.replicas < 1MiB", True),
        ("body.db.replicas == 3.0", True),
        ("body.db.replicas in 1..3", True),
        ("body.db.replicas == body.db.ready", True),
        ("body.db.replicas > body.db.ready", False),
        ("body.db.lag > -2", True),
        ("body.db.lag < 1e3", True),
        ('body.db.state in ["up", "UP"]', True),
        ('body.db.state in ["down", null, true, 1]', False),
        ('body.db.state matches "^u"', True),
        ('body.db.state matches "(?i)UP"', True),
        ('body.db.state matches "p$"', True),
        ('body.db.state matches "^p"', False),
        (r'text matches "\d\.\d"', True),
        (r'text matches "\\d\\.\\d"', True),
        ('body.tags contains "blue"', True),
        ('body.tags contains "blu"', False),
        ("body.tags contains 7", True),
        ("body.tags contains 1", False),
        ("body.tags contains true", True),
        ('body.db contains "lag"', True),
        ('body.db contains "log"', False),
        ('body.db.state contains "p"', True),
        ("body.db.replicas contains 3", False),
        ('health.status == "Up"', True),
        ('health.status in ["ok", "UP"]', True),
        ('tls.version >= "TLSv1.2"', True),
        ("body.db.up", True),
        ("not body.not-ready", True),
        ("body.db.replicas", False),
        ("body.missing", False),
    ],
)
def test_every_operator_means_what_it_says(expression: str, expected: bool) -> None:
    assert holds(expression) is expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("body.x == 1", False),
        ("body.x == true", True),
        ("body.x != 1", True),
        ("body.x < 2", False),
        ("body.one == true", False),
        ('body.one == "1"', False),
        ('body.one != "1"', True),
        ("body.list == body.list", False),
        ("body.list != body.list", False),
        ("body.list != 1", True),
        ("body.zero == false", False),
        ("body.nothing == null", True),
        ("body.nothing != null", False),
        ("body.nothing == 0", False),
    ],
)
def test_values_of_different_sorts_are_unequal_and_true_is_no_number(expression: str, expected: bool) -> None:
    document = {"x": True, "one": 1, "zero": 0, "nothing": None, "list": [1]}

    assert holds(expression, an_answer(json=document)) is expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("body.t or body.f and body.f", True),
        ("(body.t or body.f) and body.f", False),
        ("not body.f and body.f", False),
        ("not (body.f and body.f)", True),
        ("not body.t or body.t", True),
        ("not (body.t or body.t)", False),
        ("not not body.t", True),
        ("not body.n == 2 and body.t", True),
        ("((((body.t))))", True),
        ("body.f or body.f or body.t", True),
        ("body.t and body.t and body.f", False),
        ("body.t\n  and\tbody.t", True),
    ],
)
def test_not_binds_tighter_than_and_and_and_tighter_than_or(expression: str, expected: bool) -> None:
    assert holds(expression, an_answer(json={"t": True, "f": False, "n": 1})) is expected


def test_every_operand_is_evidence_even_where_the_answer_was_decided_early() -> None:
    result = parse("status == 500 and latency < 1s or body.db.lag > 1 or redirects > 9").test(ALL)

    assert result.holds
    assert result.actual == (
        ("status", "200"),
        ("latency", "412 ms"),
        ("body.db.lag", "1.5"),
        ("redirects", "1"),
    )
    assert result.explain().endswith("actual status = 200, latency = 412 ms, body.db.lag = 1.5, redirects = 1")


def test_an_operand_named_twice_is_read_and_shown_once() -> None:
    result = parse("status >= 200 and status < 300").test(ALL)

    assert result.actual == (("status", "200"),)


def test_an_assertion_names_its_operands_and_keeps_its_text() -> None:
    assertion = parse('  status == 200 or jsonpath( "$.x" ) == 1  or not body["a b"]')

    assert assertion.text == '  status == 200 or jsonpath( "$.x" ) == 1  or not body["a b"]'
    assert assertion.operands == {"status", 'jsonpath( "$.x" )', 'body["a b"]'}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("status\n  == 200\n", "status == 200"),
        ("\tstatus == 200\r\nor\tnot (\nbody.x)", "status == 200 or not ( body.x)"),
        ('text contains "a\nb\x1b"', r'text contains "a\nb\x1b"'),
    ],
)
def test_j09_an_assertion_is_told_on_one_line(text: str, told: str) -> None:
    result = parse(text).test(ALL)

    assert result.text == told
    assert result.explain().startswith(f"expected {told}, actual ")


def test_j09_an_operand_is_told_on_one_line() -> None:
    result = parse('body["a\nb"] == 1 or jsonpath(\n"$.x"\n) == 1').test(ALL)

    assert [name for name, _ in result.actual] == [r'body["a\nb"]', r'jsonpath(\n"$.x"\n)']


def test_two_assertions_are_equal_when_they_were_written_alike() -> None:
    assert parse("status == 200") == parse("status == 200")
    assert hash(parse("status == 200")) == hash(parse("status == 200"))
    assert parse("status == 200") != parse("status == 201")
    assert "status == 200" in repr(parse("status == 200"))


def test_a_query_that_can_find_several_values_needs_exactly_one_to_compare() -> None:
    several = an_answer(json={"nodes": [{"state": "up"}, {"state": "down"}]})
    single = an_answer(json={"nodes": [{"state": "backup"}]})
    none = an_answer(json={"nodes": []})
    query = 'jsonpath("$.nodes[*].state")'

    assert not holds(f'{query} == "up"', several)
    assert not holds(f'{query} != "up"', several)
    assert holds(f'{query} contains "down"', several)
    assert holds(f'{query} == "backup"', single)
    assert not holds(f'{query} contains "up"', single)
    assert holds(f'{query} matches "up$"', single)
    assert not holds(f'{query} != "x"', none)


def test_a_header_is_found_whatever_its_case() -> None:
    observation = an_answer(headers=(("Content-Type", "text/html"), ("content-type", "x")))

    assert holds('header["content-TYPE"] == "text/html, x"', observation)


def test_health_operands_read_the_document_whatever_the_monitors_health_mode() -> None:
    observation = an_answer(text="Not Ready\n")

    assert holds('health.status == "NOT-READY"', observation)
    assert holds('health.status matches "not_ready"', observation)


def test_a_failure_can_be_tested_too() -> None:
    result = parse("status == 200 or latency < 1s").test(a_failure(Reason.REFUSED))

    assert result.holds
    assert result.actual == (("status", "absent"), ("latency", "43 ms"))


@pytest.mark.parametrize(
    ("took", "shown"),
    [
        (timedelta(microseconds=400), "0.4 ms"),
        (timedelta(milliseconds=412), "412 ms"),
        (timedelta(milliseconds=1500), "1.5 s"),
        (timedelta(seconds=10), "10 s"),
        (timedelta(minutes=12), "12 min"),
        (timedelta(hours=3, minutes=30), "3.5 h"),
        (timedelta(days=6), "6 days"),
        (timedelta(0), "0 ms"),
        (timedelta(seconds=-3), "-3 s"),
    ],
)
def test_a_duration_is_shown_in_its_natural_unit(took: timedelta, shown: str) -> None:
    result = parse("latency < 1s").test(an_answer(elapsed=took))

    assert result.actual == (("latency", shown),)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb\x1b[31m\u202e\ud800", '"a\\nb\\x1b[31m\\u202e\\ud800"'),
        (True, "true"),
        (None, "null"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        pytest.param(10**5000, "an integer of 16610 bits", id="5000 digits"),
        ([1, "a", [2], {"b": 3}], '[1, "a", […], {…}]'),
        ({"a": 1, "b": {"c": 2}}, '{"a": 1, "b": {…}}'),
        ([], "[]"),
    ],
)
def test_evidence_is_one_printable_line_that_hides_nothing(value: object, shown: str) -> None:
    body = Body(document={"x": value}, is_document=True)

    assert parse("body.x == 1").test(an_answer(body=body)).actual == (("body.x", shown),)


@pytest.mark.parametrize("value", ["é" * 5000, ["abc"] * 5000, {f"key {n}": n for n in range(5000)}, ["x" * 5000] * 9])
def test_evidence_is_short_however_large_the_value(value: object) -> None:
    [(_, shown)] = parse("body.x == 1").test(an_answer(body=Body(document={"x": value}, is_document=True))).actual

    assert len(shown) <= 120
    assert "…" in shown


def test_the_libraries_that_few_expressions_need_are_loaded_only_for_those() -> None:
    script = """
import sys
from laya_uptime.domain.assertion import parse
parse("status in 200..299 and body.x")
assert not {"re2", "jsonpath"} & sys.modules.keys()
parse('text matches "a"')
assert "re2" in sys.modules and "jsonpath" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)

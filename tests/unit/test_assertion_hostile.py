"""Expressions from anywhere and documents from strangers: parsing raises one error, testing raises none."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laya_uptime.domain.assertion import Assertion, ExpressionError, parse
from laya_uptime.domain.result import Body, Observation
from laya_uptime.testing.observations import an_answer

MIB = 1 << 20
HUGE = 10**5000  # legal JSON that Python refuses to print


def an_answer_with(document: object) -> Observation:
    return an_answer(body=Body(content_type="application/json", document=document, is_document=True))


def holds(text: str, document: object) -> bool:
    return parse(text).test(an_answer_with(document)).holds


def parsed(text: str) -> Assertion | None:
    try:
        return parse(text)
    except ExpressionError as error:
        refusal = error
    assert refusal.what
    assert 1 <= refusal.column <= len(text) + 1
    return None


SCRAPS = st.sampled_from(
    [
        *("status", "latency", "phase.dns", "body", "body.x", "body.items[0].x", 'body["a b"]', "body[-1]", "text"),
        *('jsonpath("$.x")', 'jsonpath("$..x")', 'jsonpath("$[?@.a>1]")', "jsonpath('$[", "size", 'header["X"]'),
        *("tls.expires_in", "dns.answers", "health.status", 'health.components["db"]', "redirects", "ip", "foo"),
        *("and", "or", "not", "in", "contains", "matches", "==", "!=", "<", "<=", ">", ">=", "(", ")", "[", "]", ","),
        *("..", "200", "200..299", "500ms", "14d", "10KB", "1e5", "-1", "1.5", '"ok"', "'ok'", '"(a+)+$"', '"(?=x)"'),
        *("true", "false", "null", "=", "&&", ".", '"', "'", "\\", "$", "@", "\x00", "é", "1e999"),
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(4400, 5000).map(lambda digits: 10**digits)
    | st.floats()
    | st.text(st.characters(codec=None), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["x", "a b", "items", "status", "checks"]) | st.text(max_size=5), inner, max_size=4
        )
    ),
    max_leaves=12,
)
BODIES = st.builds(
    Body,
    content_type=st.sampled_from(["", "text/plain", "text/html", "application/json", "application/health+json"]),
    text=st.text(st.characters(codec=None), max_size=60) | st.sampled_from(["OK", "down\n", "<!doctype html>"]),
    size=st.integers(0, MIB),
    document=JSON,
    is_document=st.booleans(),
    fault=st.none() | st.text(max_size=40),
    misdeclared=st.booleans(),
)


@settings(deadline=None)
@given(st.text(st.characters(codec=None), max_size=80))
def test_parsing_any_text_raises_nothing_but_an_expression_error(text: str) -> None:
    parsed(text)


@settings(deadline=None)
@given(st.lists(SCRAPS, max_size=14).map(" ".join) | st.lists(SCRAPS, max_size=8).map("".join), BODIES)
def test_what_looks_like_an_expression_is_refused_or_can_be_tested(text: str, body: Body) -> None:
    assertion = parsed(text)

    if assertion is not None:
        result = assertion.test(an_answer(body=body))
        assert all(len(value) <= 120 and value.isprintable() for _, value in result.actual)


@settings(deadline=None)
@given(st.text("$.@?*[]()'\"abc019<=&|!:,-~#^_ ", max_size=24))
def test_parsing_any_query_raises_nothing_but_an_expression_error(query: str) -> None:
    quoted = query.replace("\\", "\\\\").replace('"', '\\"')
    assertion = parsed(f'jsonpath("$.{quoted}") == 1')

    if assertion is not None:
        assertion.test(an_answer_with({"a": [0, 1, {"b": "c"}], "b": {"a": None}}))


@settings(deadline=None)
@given(st.text("ab(|)*+?{}[]^$.\\d1,:<=!Pi", max_size=24))
def test_parsing_any_pattern_raises_nothing_but_an_expression_error(pattern: str) -> None:
    quoted = pattern.replace("\\", "\\\\")
    parsed(f'text matches "{quoted}"')


@settings(deadline=None)
@given(JSON, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), JSON)
def test_comparing_any_two_values_raises_nothing(left: object, symbol: str, right: object) -> None:
    holds(f"body.x {symbol} body.y", {"x": left, "y": right})


@settings(deadline=None)
@given(JSON, JSON)
def test_equal_and_unequal_never_both_hold(left: object, right: object) -> None:
    document = {"x": left, "y": right}

    assert not (holds("body.x == body.y", document) and holds("body.x != body.y", document))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["a" * 24 + "!", "a" * MIB + "!"], ids=["24 letters", "1 MiB"])
@pytest.mark.parametrize(
    "expression",
    [
        'text matches "(a+)+$"',
        'jsonpath("$[?search(@, \'(a+)+$\')]") contains "x"',
        'jsonpath("$[?match(@, \'(a+)+\')]") contains "x"',
        'jsonpath("$[?match(@, $[1])]") contains "x"',
    ],
)
def test_r06_a_pattern_that_hangs_other_engines_takes_linear_time(expression: str, text: str) -> None:
    body = Body(text=text, document=[text, "(a+)+$"], is_document=True)

    # 2 ** 24 steps of a backtracking engine would trip the timeout, and 2 ** 1048576 the universe's.
    assert not parse(expression).test(an_answer(body=body)).holds


def test_r05_documents_nested_without_end_are_read_as_far_as_the_path_goes() -> None:
    document: object = "bottom"
    for _ in range(100_000):
        document = [document]

    assert not holds("body[0][0][0] == 1", document)
    assert not holds('jsonpath("$..x") == 1', document)
    assert not holds('health.status == "ok"', document)
    assert parse("body[0] == 1").test(an_answer_with(document)).actual == (
        ("body[0]", "[[…]]".replace("[[…]]", "[[…]]")),
    )


@pytest.mark.parametrize(
    ("document", "expression", "expected"),
    [
        pytest.param(None, "body.x == null", False, id="null is no object"),
        pytest.param([1, 2], "body[-3] == 1", False, id="an index before the beginning"),
        pytest.param([1, 2], "body[-2] == 1", True, id="an index from the end"),
        pytest.param([1, 2], "body[2] == 1", False, id="an index behind the end"),
        pytest.param({"0": 1}, "body[0] == 1", False, id="an index is no key"),
        pytest.param([1], 'body["0"] == 1', False, id="a key is no index"),
        pytest.param("text", "body[0] == 't'", False, id="a text has no items"),
        pytest.param("[1]", 'jsonpath("$[0]") == 1', False, id="a text is not parsed again"),
        pytest.param({"x": float("nan")}, "body.x == body.x", False, id="NaN equals nothing"),
        pytest.param({"x": float("inf")}, "body.x > 1e300", True, id="1e999 is large"),
        pytest.param({"x": HUGE}, "body.x > 1.5", True, id="5000 digits against a fraction"),
        pytest.param({"x": HUGE}, "body.x == 1.5", False, id="5000 digits are no fraction"),
        pytest.param({"x": "\ud800"}, 'body.x matches "."', True, id="half a character"),
    ],
)
def test_r05_strange_documents_fail_the_assertion_and_nothing_else(
    document: object, expression: str, expected: bool
) -> None:
    assert holds(expression, document) is expected


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "query", ["$..*", "$..*..*..*", "$..[?@..x]", "$..[?count($..*) > 1]", "$[*]", "$..[*, *, *]", "$[?@ == $[0]]"]
)
@pytest.mark.parametrize("shape", ["wide", "deep", "long keys"])
def test_a_query_gives_up_before_it_becomes_a_burden(query: str, shape: str) -> None:
    document: object
    if shape == "wide":
        document = [[]] * (MIB // 3)
    elif shape == "deep":
        document = [[1] * 1000] * 300
        for _ in range(90):
            document = [document, document]
    else:
        # Were paths kept, each of these would carry half a megabyte.
        document = {"k" * (MIB // 2): [[]] * (MIB // 6)}

    [(_, shown)] = parse(f'jsonpath("{query}") == 1').test(an_answer_with(document)).actual

    assert len(shown) <= 120


def test_a_query_that_gave_up_says_so() -> None:
    result = parse('jsonpath("$..*") != 1').test(an_answer_with([0] * 100_000))

    assert not result.holds
    assert result.actual == (('jsonpath("$..*")', "absent (the query is too much work on this document)"),)


def test_a_query_for_one_place_costs_little_however_large_the_document() -> None:
    assert holds('jsonpath("$.items[-1]") == 0', {"items": [0] * (MIB // 2)})


def test_each_evaluation_of_a_query_has_its_own_budget() -> None:
    assertion = parse('jsonpath("$[-1:]") == 0 and jsonpath("$[*]") contains 0')
    observation = an_answer_with([0] * 30_000)

    assert [assertion.test(observation).holds for _ in range(3)] == [True] * 3


@settings(deadline=None)
@given(st.timedeltas() | st.just(timedelta.max) | st.just(timedelta.min))
def test_any_duration_can_be_shown(took: timedelta) -> None:
    [(_, shown)] = parse("latency < 1s").test(an_answer(elapsed=took)).actual

    assert shown

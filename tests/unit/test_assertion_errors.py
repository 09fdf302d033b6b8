"""What cannot be an assertion is refused when it is written, with the column and what to do."""

import pytest

from laya_uptime.domain.assertion import ExpressionError, parse


def refused(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    return caught.value


# The caret stands where the error must point.
CASES = [
    pytest.param(
        "",
        "^",
        "the expression is empty",
        "For example status == 200.",
        id="nothing",
    ),
    pytest.param("  \n ", "^", "the expression is empty", "", id="only space"),
    pytest.param(
        "status",
        "      ^",
        "status needs a comparison",
        "status == 200",
        id="a number alone",
    ),
    pytest.param(
        "latency and body.x",
        "        ^",
        "latency needs a comparison",
        "latency < 500ms",
        id="a duration alone",
    ),
    pytest.param("status ==", "         ^", "ends where a value is expected", "", id="no right side"),
    pytest.param(
        "status == 200 and", "                 ^", "ends where an operand is expected", "", id="no second half"
    ),
    pytest.param("(status == 200", "              ^", "expected ), not the end", "", id="an open parenthesis"),
    pytest.param("status == 200)", "             ^", "unexpected ')'", "", id="a stray parenthesis"),
    pytest.param("status = 200", "       ^", "= is no operator", "Did you mean '=='?", id="one equals sign"),
    pytest.param("status === 200", "       ^", "=== is no operator", "Did you mean '=='?", id="three equals signs"),
    pytest.param(
        "status == 200 && latency < 1s",
        "              ^",
        "&& is no operator",
        "Did you mean 'and'?",
        id="and as in C",
    ),
    pytest.param("!body.x", "^", "! is no operator", "Did you mean 'not'?", id="not as in C"),
    pytest.param("body.x =~ 'a'", "       ^", "=~ is no operator", "Did you mean 'matches'?", id="match as in Perl"),
    pytest.param("status equals 200", "       ^", "no operator is called 'equals'", "'=='", id="equals"),
    pytest.param(
        'text contain "x"', "     ^", "no operator is called 'contain'", "Did you mean 'contains'?", id="contain"
    ),
    pytest.param("status == 200 AND body.x", "              ^", "unexpected 'AND'", "'and'", id="AND in capitals"),
    pytest.param("status 200", "       ^", "expected an operator after status", "Known: ==", id="no operator"),
    pytest.param(
        "status not in [500]", "       ^", "not stands before a comparison", "Write not (status in ...)", id="not in"
    ),
    pytest.param("200 == status", "^", "expected an operand", "Write the operand first", id="the value first"),
    pytest.param("status == 200 == 200", "              ^", "unexpected '=='", "", id="a chain"),
    pytest.param("statuss == 200", "^", "no operand is called 'statuss'", "Did you mean 'status'?", id="a spelling"),
    pytest.param(
        "tls.expire_in > 14d", "^", "no operand is called 'tls.expire_in'", "'tls.expires_in'", id="a dotted spelling"
    ),
    pytest.param("response_time < 1s", "^", "no operand", "Did you mean 'latency'?", id="a name from elsewhere"),
    pytest.param("foo == 1", "^", "no operand is called 'foo'", "Known: status, latency, phase.dns,", id="unknown"),
    pytest.param("Status == 200", "^", "no operand is called 'Status'", "Did you mean 'status'?", id="capitals"),
    pytest.param("body == 1", "    ^", "body needs a path", "body.status", id="a body without a path"),
    pytest.param("body.0 == 1", "     ^", "a name is missing after the dot", "body[0]", id="an index after a dot"),
    pytest.param("body. == 1", "     ^", "a name is missing after the dot", "", id="a dot and nothing"),
    pytest.param("body[x] == 1", "     ^", "expected an index or a key in quotes", 'body["a b"]', id="a bare key"),
    pytest.param("body[0 == 1", "     ^", "expected an index or a key in quotes", "", id="an open bracket"),
    pytest.param("body['a' == 1", "        ^", "expected ]", "", id="an open bracket after a key"),
    pytest.param("header.server == 'x'", "      ^", "header needs one name in brackets", "header[", id="header.name"),
    pytest.param(
        "health.components == 'up'",
        "                 ^",
        "health.components needs one name in brackets",
        "",
        id="all components",
    ),
    pytest.param("jsonpath == 1", "        ^", "jsonpath needs a query in parentheses", "", id="no query"),
    pytest.param("jsonpath($.x) == 1", "         ^", "unexpected '$'", "", id="a query without quotes"),
    pytest.param("jsonpath(5) == 1", "         ^", "jsonpath takes one query in quotes", "", id="a number for a query"),
    pytest.param("jsonpath('$[0:1e3]') == 1", "          ^", "a number in it cannot be used", "", id="no index"),
    pytest.param("jsonpath('$[1e0]') == 1", "          ^", "a number in it cannot be used", "", id="no index either"),
    pytest.param("jsonpath('$[?@.a == 1e999]') == 1", "          ^", "a number in it", "", id="a number too large"),
    pytest.param("jsonpath('$.x[') == 1", "              ^", "no JSONPath", "RFC 9535", id="a broken query"),
    pytest.param("jsonpath('x') == 1", "          ^", "a query begins with $", "", id="a query without a root"),
    pytest.param(
        r"jsonpath('$[\'a\'].?') == 1", "                   ^", "no JSONPath", "", id="a broken query behind escapes"
    ),
    pytest.param(
        "jsonpath('$[?match(@.a, \"(?=x)\")]') contains 1",
        "             ^",
        "look-around (?= is not supported",
        "",
        id="look-around inside a query",
    ),
    pytest.param("jsonpath('$.a | $.b') == 1", "              ^", "no JSONPath", "", id="a union of queries"),
    pytest.param("jsonpath('$[?@.a =~ /x/]') == 1", "                 ^", "no JSONPath", "", id="a regex literal"),
    pytest.param(
        'status == "200"', "          ^", "status is a number", "Write 200 without quotes.", id="a quoted number"
    ),
    pytest.param("status == true", "          ^", "status is a number, never true", "", id="a number and a truth"),
    pytest.param("text == null", "        ^", "text is text, never null", "absent operand", id="a text and null"),
    pytest.param(
        "latency < 500", "          ^", "latency is a duration, 500 is a number", "Write 500ms or 500s.", id="no unit"
    ),
    pytest.param(
        "latency < 500KB", "          ^", "latency is a duration", "latency < 500ms", id="a size for a duration"
    ),
    pytest.param("status in 200..2s", "               ^", "status is a number", "", id="a duration in a range"),
    pytest.param("status in [200, '204']", "                ^", "status is a number", "", id="a text in a list"),
    pytest.param("size < 10s", "       ^", "size is a number of bytes", "size < 10KB", id="a duration for a size"),
    pytest.param(
        "body.x > 5s", "         ^", "body.x is a JSON value", "JSON has no durations", id="JSON and a duration"
    ),
    pytest.param(
        "text contains 5", "              ^", "text is text, 5 is a number", 'Write "5".', id="part of a text"
    ),
    pytest.param("status == latency", "          ^", "status is a number, latency is a duration", "", id="two sorts"),
    pytest.param("status contains 2", "       ^", "contains nothing", "status == 200", id="inside a number"),
    pytest.param(
        'status matches "2.."', "       ^", "a pattern needs text", "status == 200", id="pattern for a number"
    ),
    pytest.param(
        "text matches 5", "             ^", "matches takes a pattern in quotes", 'matches "5"', id="no pattern"
    ),
    pytest.param("body.x < true", "       ^", "true has no order", "== or !=", id="an order of truths"),
    pytest.param("body.x >= null", "       ^", "null has no order", "== or !=", id="an order of null"),
    pytest.param(
        "body.x in true..false", "          ^", "true has no order", "List the values", id="a range of truths"
    ),
    pytest.param('health.status > "up"', "              ^", "has no order", "== or !=", id="an order of words"),
    pytest.param(
        'dns.answers == "x"', "            ^", "a list of texts", "dns.answers contains", id="equal to a list"
    ),
    pytest.param("status in 200", "             ^", "expected .. after 200", "status == 200", id="in one value"),
    pytest.param("status in latency", "          ^", "expected a list or a range", "in 200..299", id="in an operand"),
    pytest.param("status in []", "           ^", "the list is empty", "", id="in nothing"),
    pytest.param("status in [200 204]", "               ^", "expected , or ], not '204'", "", id="no comma"),
    pytest.param("status in [200,", "               ^", "ends where a value is expected", "", id="an open list"),
    pytest.param("status in 299..200", "          ^", "nothing is in 299..200", "Write 200..299.", id="backwards"),
    pytest.param("body.x in 1..'a'", "             ^", "1 is a number, 'a' is text", "", id="a range of two sorts"),
    pytest.param(
        "latency < 500mss", "             ^", "mss is no unit", "Durations: ms, s, m, h, d.", id="no such unit"
    ),
    pytest.param("latency < 5sec", "           ^", "sec is no unit", "Did you mean 5s?", id="sec"),
    pytest.param("latency < 10M", "            ^", "M is no unit", "MB", id="a capital M"),
    pytest.param("body.x == 1e999", "          ^", "the number is too large", "", id="beyond all numbers"),
    pytest.param("latency < 99999999999999d", "          ^", "the duration is too long", "", id="beyond all time"),
    pytest.param('body.x == "abc', "          ^", "the text has no closing quote", "", id="an open text"),
    pytest.param(r'body.x == "\u12"', "           ^", "four hexadecimal digits", "", id="a short escape"),
    pytest.param(r'body.x == "\ud83d"', "           ^", "half a character", "", id="half a character"),
    pytest.param("ip == 192.0.2.1", "           ^", "unexpected '.'", "in quotes", id="an address without quotes"),
    pytest.param("ip == localhost", "      ^", "no operand", 'Put texts in quotes: "localhost".', id="a bare word"),
    pytest.param("body.x == @", "          ^", "unexpected '@'", "", id="a strange sign"),
    pytest.param('text matches "a(b"', "             ^", "missing )", "RE2", id="an open group"),
    pytest.param(
        'text matches "(?=a)b"', "              ^", "look-around (?= is not supported", "RE2", id="look-ahead"
    ),
    pytest.param('text matches "ab(?<!x)"', "                ^", "look-around (?<! is not", "RE2", id="look-behind"),
    pytest.param(r'text matches "(a)\1"', "                 ^", r"back-reference \1 is not supported", "", id="\\1"),
    pytest.param('text matches "[z-a]"', "               ^", "invalid character class range z-a", "", id="a range"),
    pytest.param(
        'text matches "x.{300}"', "             ^", "the pattern is too large", "RE2", id="too large a pattern"
    ),
]


@pytest.mark.parametrize(("text", "caret", "what", "remedy"), CASES)
def test_an_error_says_what_is_wrong_where_and_what_to_do(text: str, caret: str, what: str, remedy: str) -> None:
    error = refused(text)

    assert what in error.what
    assert error.column == caret.index("^") + 1
    assert remedy in error.remedy
    assert str(error) == f"column {error.column}: {error.what}. {error.remedy}".rstrip()


def test_an_expression_may_have_2000_characters_and_no_more() -> None:
    longest = 'text == "' + "x" * 1990 + '"'

    assert parse(longest).text == longest
    error = refused(f"{longest} ")
    assert (error.column, error.what) == (2001, "the expression is longer than 2000 characters")


@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("not ", ""), ("not (", ")")])
def test_an_expression_may_nest_50_levels_and_no_more(opening: str, closing: str) -> None:
    levels = 50 // (opening.count("not") + opening.count("("))

    parse(opening * levels + "body.x" + closing * levels)
    error = refused(opening * (levels + 1) + "body.x" + closing * (levels + 1))

    assert error.what == "nested deeper than 50 levels"
    assert error.column == len(opening) * levels + 1


@pytest.mark.parametrize(
    "text",
    ['body["a\nb"] < "x', 'text in "b\n".."a\x1b"', 'health.status < "a\rb"', 'status == "\x00"', 'header["\u2028"]'],
)
def test_j09_an_error_is_one_line_whatever_it_quotes(text: str) -> None:
    error = refused(text)

    assert str(error).isprintable()


def test_an_error_quotes_no_more_than_people_read() -> None:
    assert len(str(refused("x" * 2000))) < 1300


def test_a_long_chain_is_no_nesting() -> None:
    parse(" and ".join(["body.x"] * 150))


def test_an_expression_error_is_a_value_error() -> None:
    assert isinstance(refused("x"), ValueError)

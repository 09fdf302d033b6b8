"""Whatever somebody writes into a file, loading ends, and ends in a configuration or in ConfigError."""

import string
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laya_uptime.config.load import decode
from laya_uptime.errors import ConfigError

WORDS = [
    "monitors", "notify", "groups", "defaults", "site", "log", "egress", "store", "retention", "results", "every", "timeout",
    "expect", "prefer", "health", "name", "group", "type", "url", "headers", "body", "to", "webhook", "allow", "file", "http",
    "email", "slack", "http://a.example/", "http://[::1]:99999/", "30s", "5", "-1s", "1e9d", "0x1f", "0123", "true", "~",
    "status == 200", "latency < 500ms", "${A}", "${B:-x}", "${file:/dev/null}", "${cred:x}", "$$", "${", "&a", "*a", "<<", "!!x", "!",
    "|", ">", "'", '"', "\\", "\t", "\n", "\r", " ", "  ", "    ", ":", ": ", "- ", ", ", "{", "}", "[", "]", "#", "?", "? ", "%",
    "---", "...", "@", "`", "\ufeff", "\u2028", "\x85", "\x00", "é", "🚨", "\ud800",
]  # fmt: skip

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=8)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def survives(text: str | bytes) -> None:
    try:
        decode(text, source="f", environ={"A": "abc\"'\n", "CREDENTIALS_DIRECTORY": "/nowhere"})
    except ConfigError as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all(problem.where and problem.what for problem in problems)


@given(st.lists(st.sampled_from(WORDS), max_size=40).map("".join))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_text_that_looks_like_yaml_only_ever_raises_config_error(text: str) -> None:
    survives(text)


@given(st.lists(st.sampled_from(WORDS) | st.just("\n  "), max_size=40).map(" ".join))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_words_in_any_order_only_ever_raise_config_error(text: str) -> None:
    survives(text)


@given(st.text(alphabet=string.printable + "é\u2028\ufeff", max_size=200) | st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_or_bytes_only_ever_raise_config_error(data: str | bytes) -> None:
    survives(data)


@given(st.dictionaries(st.sampled_from(WORDS[:8]), TREES, max_size=6))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_file_of_the_right_sections_with_anything_in_them_only_ever_raises_config_error(tree: dict[str, Any]) -> None:
    survives(repr_as_yaml(tree))


def repr_as_yaml(tree: object) -> str:
    """Write it as flow style, with texts in double quotes or, where that is harmless, without."""
    match tree:
        case dict():
            return "{" + ", ".join(f"{quoted(key)}: {repr_as_yaml(inner)}" for key, inner in tree.items()) + "}"
        case list():
            return "[" + ", ".join(map(repr_as_yaml, tree)) + "]"
        case str():
            return quoted(tree)
        case None:
            return "null"
        case bool():
            return str(tree).lower()
        case _:
            return str(tree)


def quoted(text: str) -> str:
    return (
        '"' + "".join(char if char.isalnum() or char in " ${}:/=<-." else f"\\U{ord(char):08x}" for char in text) + '"'
    )

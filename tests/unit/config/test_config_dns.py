"""Monitors of type dns as people write them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from laya_uptime.adapters.checks.dns import DnsCheck
from laya_uptime.config.configuration import Configuration
from laya_uptime.errors import Problem

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "checks" / "dns.md"


def test_a_url_alone_and_its_parts_are_the_same_check(configured: Callable[..., Configuration]) -> None:
    read = configured("""
        monitors:
          a: dns://192.0.2.53/example.org?type=MX
          b: { type: dns, query: example.org, record: MX, resolver: 192.0.2.53 }
          c: { url: "dns://192.0.2.53/example.org?type=mx", name: Mail }
        """)

    assert [each.monitor.target for each in read.monitors] == ["dns://192.0.2.53/example.org?type=MX"] * 3
    assert [each.monitor.name for each in read.monitors] == ["a", "b", "Mail"]
    assert all(isinstance(each.check, DnsCheck) for each in read.monitors)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("monitors: {a: 'dns://'}", "c.yaml:1:15"),
        ("monitors: {a: {type: dns}}", "c.yaml:1:12"),
        ("monitors: {a: {url: 'dns://example.org', record: MX}}", "c.yaml:1:21"),
        ("monitors: {a: {type: dns, query: example.org, resolver: dns.example}}", "c.yaml:1:57"),
    ],
)
def test_what_cannot_be_asked_is_told_where_it_stands(
    problems: Callable[..., tuple[Problem, ...]], text: str, where: str
) -> None:
    (problem,) = problems(text)

    assert problem.where == where


def test_every_example_on_its_page_loads(configured: Callable[..., Configuration]) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)

    assert len(blocks) == 3
    for block in blocks:
        assert configured(block).monitors


def test_every_option_is_on_its_page() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8").partition("## Verdicts")[0], re.MULTILINE)

    assert tuple(rows) == DnsCheck.__struct_encode_fields__

"""Any bytes as a configuration file: a tree within bounds, or problems that a person can find; JSON means what JSON says."""

import json

from laya_uptime.config import yaml
from laya_uptime.config.findings import Findings
from laya_uptime.config.tree import Mapping, Node, Scalar, Sequence
from laya_uptime.errors import ConfigError, Problem

LONGEST = 384

_SOURCE = "config.yaml"


def run(data: bytes) -> None:
    """Parse the file, and compare the tree with JSON where it is JSON."""
    findings = Findings()
    tree = yaml.parse(data, source=_SOURCE, findings=findings)
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    error = findings.error()
    _check_problems(error, text)
    if tree is None:
        assert findings.count, "what cannot be read has a reason"
        return
    _check_tree(tree, text, yaml.MAX_DEPTH)
    if not findings.count:
        _compare(tree, text)


def _check_problems(error: ConfigError, text: str) -> None:
    lines = text.count("\n") + text.count("\r") + 1
    for problem in error.problems:
        assert str(problem).isprintable(), repr(str(problem))
        assert len(str(problem)) <= 500, str(problem)
        _check_place(problem, lines)


def _check_place(problem: Problem, lines: int) -> None:
    source, line, column = problem.where.split(":")
    assert source == _SOURCE
    assert 1 <= int(line) <= lines + 1, problem
    assert int(column) >= 1, problem


def _check_tree(node: Node, text: str, levels: int) -> None:
    assert levels >= 0
    match node:
        case Sequence():
            for item in node.items:
                _check_tree(item, text, levels - 1)
        case Mapping():
            for key, entry in node.entries.items():
                assert key
                _check_tree(entry.value, text, levels - 1)
        case Scalar(value=value):
            assert not isinstance(value, float) or value - value == 0
            str(value).encode("utf-8")


def _compare(tree: Node, text: str) -> None:
    """JSON that was taken without a word must mean the same to every JSON reader."""
    if not text.lstrip(" \t\r\n").startswith(("{", "[")):
        return
    try:
        expected = json.loads(text, parse_constant=_no_number, object_pairs_hook=_members)
    except (ValueError, RecursionError):
        return
    found = _plain(tree)
    assert _same(found, expected), (found, expected)


def _no_number(text: str) -> object:
    raise ValueError(text)


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    return dict(pairs)


def _plain(node: Node) -> object:
    match node:
        case Sequence():
            return [_plain(item) for item in node.items]
        case Mapping():
            return {key: _plain(entry.value) for key, entry in node.entries.items()}
        case Scalar():
            return node.value


def _same(found: object, expected: object) -> bool:
    match found, expected:
        case dict(), dict():
            return found.keys() == expected.keys() and all(_same(found[key], expected[key]) for key in found)
        case list(), list():
            return len(found) == len(expected) and all(map(_same, found, expected))
        case str(), int() | float():
            return len(found) > 40  # longer than any number that means something: it stays text
        case _:
            return found == expected and isinstance(found, bool) == isinstance(expected, bool)

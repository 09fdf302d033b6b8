"""The strict part of YAML that a configuration is written in."""

import json

import pytest
import yaml as pyyaml

from laya_uptime.config import yaml
from laya_uptime.config.findings import Findings
from laya_uptime.config.tree import Mapping, Node, Position, Scalar, Sequence
from laya_uptime.errors import ConfigError


def plain(node: Node | None) -> object:
    match node:
        case Mapping():
            return {key: plain(entry.value) for key, entry in node.entries.items()}
        case Sequence():
            return [plain(item) for item in node.items]
        case Scalar():
            return node.value
        case None:
            raise AssertionError


def tree(text: str | bytes) -> Node:
    findings = Findings()
    found = yaml.parse(text, source="f", findings=findings)
    findings.raise_problems()
    assert found is not None
    return found


def read(text: str | bytes) -> object:
    return plain(tree(text))


def wrong(text: str | bytes) -> list[str]:
    try:
        read(text)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.fixture(params=[pyyaml.CSafeLoader, pyyaml.SafeLoader], ids=["libyaml", "python"], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of PyYAML's parsers, since the fast one is not built in everywhere."""
    monkeypatch.setattr(yaml, "LOADER", request.param)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("no", "no"),
        ("NO", "NO"),
        ("on", "on"),
        ("y", "y"),
        ("null", None),
        ("~", None),
        ("", None),
        ("Null", "Null"),
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("2.50", 2.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        (".nan", ".nan"),
        (".inf", ".inf"),
        ("NaN", "NaN"),
        ("22:30", "22:30"),
        ("1:30:00", "1:30:00"),
        ("2026-12-05", "2026-12-05"),
        ("1.2.3", "1.2.3"),
        ("30s", "30s"),
        ("=", "="),
        ("'0123'", "0123"),
        ('"true"', "true"),
        ('"a\\nb"', "a\nb"),
        ("'it''s'", "it's"),
        ("9" * 60, "9" * 60),
    ],
)
def test_a_value_means_one_thing(written: str, value: object) -> None:
    root = tree(f"key: {written}\n")

    assert isinstance(root, Mapping)
    found = root.entries["key"].value
    assert isinstance(found, Scalar)
    assert found.value == value
    assert type(found.value) is type(value)


@pytest.mark.parametrize("written", ["0123", "00", "1_000", "0x1f", "0o17", "0b11", "-012", "1_000.5", "007.5"])
def test_a_number_that_readers_disagree_about_is_an_error_and_is_not_repeated(written: str) -> None:
    (said,) = wrong(f"a: 1\nkey: {written}\n")

    assert said.startswith("f:2:6: this number can be read in more than one way.")
    assert written not in said.removeprefix("f:2:6:").replace("leading 0, 0x", "")


def test_every_key_and_value_knows_its_line_and_column() -> None:
    root = tree("a: 1\nb:\n  - x\n  - {c: 'y'}\n")

    assert isinstance(root, Mapping)
    b = root.get("b")
    assert isinstance(b, Sequence)
    inner = b.items[1]
    assert isinstance(inner, Mapping)
    assert root.where("b") == Position("f", 2, 1)
    assert [str(item.at) for item in b.items] == ["f:3:5", "f:4:5"]
    assert str(inner.where("c")) == "f:4:6"
    assert str(inner.entries["c"].value.at) == "f:4:9"


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffa: 1\nb: [x, y]\n",
        "a: 1\r\nb: [x, y]\r\n",
        "---\na: 1\nb: [x, y]\n...\n",
        "%YAML 1.2\n---\na: 1\nb: [x, y]\n",
        "# a comment\na: 1 # another\nb:\n- x\n- y\n",
        b"\xef\xbb\xbfa: 1\nb: [x, y]\n",
        '{"a": 1, "b": ["x", "y"]}',
        '{\n\t"a": 1,\n\t"b": [\n\t\t"x", "y"]\n}\n',
    ],
)
def test_the_same_file_reads_the_same_however_it_is_saved(text: str | bytes) -> None:
    assert read(text) == {"a": 1, "b": ["x", "y"]}


def test_json_as_programs_write_it_is_accepted_as_it_is() -> None:
    document = {"a": '\U0001f6a8 \\ud83d " \\', "b": [1, 2.5, True, None, ""], "c": {"d/e": "f\n"}}

    assert read(json.dumps(document)) == document
    assert read(json.dumps(document, indent="\t", ensure_ascii=False)) == document


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f:1:1: the file is empty."),
        ("# nothing\n", "f:1:1: the file is empty."),
        ("---\n", "f:1:1: the file is empty."),
        ("null\n", "f:1:1: the file is empty."),
        (b"a: \xff\n", "f:1:1: the file is not UTF-8."),
        ("a: 1\nb: \x07\n", "f:2:4: the character U+0007 may not be written as it is."),
        ("a: x\u2028y\n", "f:1:5: the character U+2028 may not be written as it is."),
        ("a: 1\n---\nb: 2\n", "f:2:1: a second document begins here."),
        ("a:\n\tb: 1\n", "f:2:1: a tab is used for indentation."),
        ("a: { b: ${C} }\n", "f:1:9: ${...} inside brackets must be quoted."),
        ("a: [ Bearer ${C} ]\n", "f:1:13: ${...} inside brackets must be quoted."),
        ("a: !!python/object:os.system x\n", "f:1:4: the tag !!python/object:os.system is not supported."),
        ("a: !env X\n", "f:1:4: the tag !env is not supported."),
        ("a: !!binary aGk=\n", "f:1:4: the tag !!binary is not supported."),
        ("a: !!set {x}\n", "f:1:4: the tag !!set is not supported."),
        ("a: ! x\n", "f:1:4: the tag ! is not supported."),
        ("a: !e!x y\n", "f:1:4: tags (!...) are not supported."),
        ("a: &x {}\nb:\n  <<: *x\n", "f:3:3: merge keys (<<) are not supported."),
        ("a: 1\nb: 2\na: 3\n", "f:3:1: 'a' is written twice; first on line 1."),
        ("{a: 1, 'a': 2}\n", "f:1:8: 'a' is written twice; first on line 1."),
        ("a: *x\n", "f:1:4: *x refers to nothing."),
        ("a: &x [*x]\n", "f:1:8: *x stands inside what it repeats."),
        ("? [a]\n: b\n", "f:1:3: a key must be a word."),
        ("? {a: b}\n: c\n", "f:1:3: a key must be a word."),
        ("&k a: 1\n", "f:1:1: a key cannot be repeated by an alias."),
        ("'': 1\n", "f:1:1: a ':' without a key before it."),
        ("a: 1e999\n", "f:1:4: this number is too large."),
        ("a: b: c\n", "f:1:5: a ':' where no key can be."),
        ("a:\n  b: 1\n c: 2\n", "f:3:2: this does not belong to the lines above."),
        ("a: 1\nb: 'x\n", "f:2:4: a quote is opened and never closed."),
        ("a: @x\n", "f:1:4: this character cannot begin a value."),
        ("a: %x\n", "f:1:4: this character cannot begin a value."),
        ("a: [1, 2\nb: 3\n", "f:2:2: a ',' or the closing bracket is missing."),
        ('a: [header["X"] == 1]\n', "f:1:11: a ',' or the closing bracket is missing."),
        ("a: 'x' y\n", "f:1:8: this does not belong to the lines above."),
        ("a: - b\n", "f:1:4: a value is missing or in a wrong place."),
    ],
)
def test_what_could_be_misread_is_refused_where_it_stands(text: str | bytes, said: str) -> None:
    (found,) = wrong(text)

    assert found.startswith(said)
    assert len(found) > len(said), "it says what to do"


def test_an_unknown_escape_is_explained() -> None:
    (found,) = wrong('a: "\\q"\n')

    assert "an unknown escape after '\\'" in found


def test_text_with_lone_surrogates_is_no_utf_8() -> None:
    assert wrong("a: \ud800\n")[0].startswith("f:1:1: the file is not UTF-8.")


def test_all_that_is_wrong_is_told_at_once() -> None:
    found = wrong("a: 0123\nb: !x y\na: 2\n<<: {}\nc: {d: 1, d: 2}\n")

    assert [said.split(" ")[0] for said in found] == ["f:1:4:", "f:2:4:", "f:3:1:", "f:4:1:", "f:5:11:"]


def test_aliases_repeat_a_value() -> None:
    assert read("a: &x {k: [1, 2]}\nb: *x\nc: [*x]\n") == {"a": {"k": [1, 2]}, "b": {"k": [1, 2]}, "c": [{"k": [1, 2]}]}


def test_the_name_of_an_anchor_may_be_given_again() -> None:
    assert read("a: &x 1\nb: *x\nc: &x 2\nd: *x\n") == {"a": 1, "b": 1, "c": 2, "d": 2}


@pytest.mark.parametrize("written", ["a: *{name}\n", "a: &{name} [*{name}]\n"], ids=["of nothing", "of itself"])
def test_a_long_alias_is_not_repeated_in_full(written: str) -> None:
    (said,) = wrong(written.format(name="x" * 5000))

    assert len(said) < 250
    assert "*xxx" in said


def test_j09_a_tag_is_told_on_one_line() -> None:
    (said,) = wrong("a: !x%0ay%1b%5b31m z\n")

    assert said.startswith(r"f:1:4: the tag !x\ny\x1b[31m is not supported.")
    assert said.isprintable()


def test_a_bomb_of_aliases_is_refused_before_it_goes_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]

    (found,) = wrong("\n".join(lines))

    assert "aliases repeat more than 100000 values" in found


def test_a_ladder_of_aliases_is_no_way_around_the_depth() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 60)]

    (found,) = wrong("\n".join(lines))

    assert "more than 32 levels inside one another" in found


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_depth_without_end_is_refused(opening: str) -> None:
    (found,) = wrong(opening * 100_000)

    assert found.startswith("f:")


def test_50_mb_are_refused_unread() -> None:
    (found,) = wrong(b"a: 1\n" * 10_000_000)

    assert found.startswith("f:1:1: the file is larger than 10 MiB.")

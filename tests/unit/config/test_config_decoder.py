"""Any struct of options can be read from a file: what people write next to their own checks and notifiers."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType

from laya_uptime.config import yaml
from laya_uptime.config.decoder import Decoder, Refused
from laya_uptime.config.findings import Findings
from laya_uptime.config.quantities import Bytes, Span
from laya_uptime.domain.secret import Secret
from laya_uptime.errors import ConfigError


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str
    port: Annotated[int, Meta(ge=1, le=65535)] = 80


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field of every kind."""

    text: Annotated[str, Meta(min_length=2, max_length=5, pattern="^[a-z]*$")] = "ab"
    number: int = 0
    share: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    truth: bool = False
    word: Literal["a", "b", 1, True] = "a"
    colour: Colour = Colour.RED
    texts: Annotated[list[str], Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["x"])
    pair: tuple[int, ...] = ()
    names: dict[str, int] = {}
    inner: Inner | None = None
    inners: list[Inner] = []
    secret: Secret | None = None
    secrets: list[Secret] = []
    wait: timedelta = timedelta(seconds=1)
    short: Annotated[timedelta, Span(timedelta(0), timedelta(seconds=5))] | None = None
    size: Annotated[int, Bytes(1, 1000)] = 1
    either: int | str = 0
    left_out: str | UnsetType = UNSET
    sender: str = msgspec.field(default="me", name="from")
    anything: object = None

    def __post_init__(self) -> None:
        if self.number == 13:
            raise ValueError("`number` must not be 13")
        if self.number == 14:
            raise ValueError("there is something about it")


def decoded(text: str) -> Options:
    findings = Findings()
    node = yaml.parse(text, source="f", findings=findings)
    assert node is not None
    try:
        found = Decoder(findings).struct(node, Options, "o")
    except Refused:
        findings.raise_problems()
        raise
    return found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("text: abc", Options(text="abc")),
        ("number: -5", Options(number=-5)),
        ("share: 0.25", Options(share=0.25)),
        ("truth: true", Options(truth=True)),
        ("word: b", Options(word="b")),
        ("word: 1", Options(word=1)),
        ("word: true", Options(word=True)),
        ("colour: blue", Options(colour=Colour.BLUE)),
        ("texts: [a, b]", Options(texts=["a", "b"])),
        ("texts: a", Options(texts=["a"])),
        ("pair: [1, 2]", Options(pair=(1, 2))),
        ("names: {a: 1}", Options(names={"a": 1})),
        ("inner: {host: h}", Options(inner=Inner(host="h"))),
        ("inner: null", Options()),
        ("inners: [{host: h, port: 1}]", Options(inners=[Inner(host="h", port=1)])),
        ("secret: s", Options(secret=Secret("s"))),
        ("secrets: s", Options(secrets=[Secret("s")])),
        ("wait: 1.5h", Options(wait=timedelta(minutes=90))),
        ("short: 500ms", Options(short=timedelta(milliseconds=500))),
        ("size: 1kB", Options(size=1000)),
        ("either: 5", Options(either=5)),
        ("either: x", Options(either="x")),
        ("left_out: x", Options(left_out="x")),
        ("from: you", Options(sender="you")),
        ("anything: 5", Options(anything=5)),
    ],
)
def test_each_kind_of_field_is_read(text: str, value: Options) -> None:
    assert decoded(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("text: a", "f:1:7: o.text: at least 2 characters are needed, got 1."),
        ("text: abcdef", "f:1:7: o.text: at most 5 characters are allowed, got 6."),
        ("text: ABC", "f:1:7: o.text: text 'ABC' is not in the form that is needed."),
        ("number: x", "f:1:9: o.number: expected a whole number, got text 'x'."),
        ("number: 1.0", "f:1:9: o.number: expected a whole number, got the number 1.0."),
        ("number: true", "f:1:9: o.number: expected a whole number, got true."),
        ("number: ", "f:1:8: o.number: expected a whole number, got nothing. Write the value, or remove the key."),
        ("share: 1", "f:1:8: o.share: expected a number above 0, got the number 1."),
        ("truth: yes", "f:1:8: o.truth: expected true or false, got text 'yes'. Write true, without quotes."),
        ("truth: 1", "f:1:8: o.truth: expected true or false, got the number 1."),
        ("word: c", "f:1:7: o.word: expected a, b, 1 or True, got text 'c'."),
        ("colour: green", "f:1:9: o.colour: expected red or blue, got text 'green'."),
        ("texts: []", "f:1:8: o.texts: at least 1 entries are needed, got 0."),
        ("texts: 5", "f:1:8: o.texts: expected text or a list, got the number 5."),
        ("texts: [a, 5]", "f:1:12: o.texts[1]: expected text, got the number 5. Put it in quotes."),
        ("pair: 5", "f:1:7: o.pair: expected a list, got the number 5."),
        ("names: [a]", "f:1:8: o.names: expected a mapping, got a list."),
        ("names: {a: x}", "f:1:12: o.names.a: expected a whole number, got text 'x'."),
        ("inner: {hots: h}", None),
        (
            "inner: {host: h, port: 0}",
            "f:1:24: o.inner.port: expected a whole number from 1 to 65535, got the number 0.",
        ),
        ("inners: [{host: h}, {}]", "f:1:21: o.inners[1] needs 'host'. Write host: with text."),
        ("secret: 5", "f:1:9: o.secret: expected text, got a number. Put it in quotes."),
        ("secret: [x]", "f:1:9: o.secret: expected text, got a list."),
        ("wait: 5", "f:1:7: o.wait: the duration 5 has no unit."),
        ("short: 6s", "f:1:8: o.short: the duration 6s is out of range."),
        ("size: 2kB", "f:1:7: o.size: the size 2kB is out of range."),
        ("either: [x]", "f:1:9: o.either: expected a whole number or text, got a list."),
        ("left_out: ", "f:1:10: o.left_out: expected text, got nothing."),
        ("sender: x", "f:1:1: unknown key 'sender' under o; did you mean 'from'?"),
        ("number: 13", "f:1:9: o: `number` must not be 13."),
        ("text: ab\nnumber: 14", "f:1:1: o: there is something about it."),
        ("[text]", "f:1:1: o: expected a mapping, got a list."),
    ],
)
def test_each_kind_of_field_refuses_what_does_not_fit(text: str, said: str | None) -> None:
    with pytest.raises(ConfigError) as raised:
        decoded(text)

    problems = [str(problem) for problem in raised.value.problems]
    if said is None:
        assert problems == [
            "f:1:8: o.inner needs 'host'. Write host: with text.",
            "f:1:9: unknown key 'hots' under o.inner; did you mean 'host'? Known: host, port.",
        ]
    else:
        assert len(problems) == 1
        assert problems[0].startswith(said)


def test_every_field_that_does_not_fit_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        decoded("{text: 1, number: x, texts: [1, 2], inner: {port: 0}, names: {a: x, b: y}, what: 1}")

    assert len(raised.value.problems) == 9


def test_a_field_of_a_kind_that_no_file_can_hold_is_the_author_s_mistake() -> None:
    class Odd(msgspec.Struct):
        odd: complex

    node = yaml.parse("odd: x", source="f", findings=Findings())
    assert node is not None

    with pytest.raises(TypeError, match="a configuration cannot hold"):
        Decoder(Findings()).struct(node, Odd, "o")

"""What of a check's options counts as said in confidence."""

from base64 import b64encode

import pytest

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.checks.tcp import DialogueStep, TcpCheck
from laya_uptime.adapters.net.confidential import confidential_of
from laya_uptime.domain.payload import of_pieces
from laya_uptime.domain.secret import Secret


def test_of_a_url_only_what_is_redacted_is_secret() -> None:
    told = confidential_of(HttpCheck(url=Secret("https://user:p%40ssword@shop.example/a?token=a%20bcde&page=12345#x")))

    assert {b"user", b"p%40ssword", b"p@ssword", b"a%20bcde", b"a bcde"} <= told.words
    assert b64encode(b"user:p@ssword") in told.words
    assert not any(word in told.words for word in (b"shop.example", b"12345", b"https"))


@pytest.mark.parametrize("option", ["bearer", "body", "headers", "proxy"])
def test_every_option_that_holds_a_secret_is_looked_at(option: str) -> None:
    value = {
        "bearer": Secret("canary"),
        "body": Secret("canary"),
        "headers": {"X-Thing": Secret("canary")},
        "proxy": Secret("http://me:canary@127.0.0.1:1"),
    }[option]

    told = confidential_of(HttpCheck(url=Secret("http://a/"), **{option: value}))  # type: ignore[arg-type]

    assert b"canary" in told.words
    assert told.names == ({"x-thing"} if option == "headers" else set())


def test_what_a_dialogue_says_in_confidence_is_looked_at() -> None:
    login = of_pieces([("USER a ", False), ("canary", True)])

    told = confidential_of(TcpCheck(host="a", port=1, dialogue=(DialogueStep(send=login),)))

    assert told.words == {b"canary"}


def test_words_that_are_everywhere_are_left_alone() -> None:
    told = confidential_of(HttpCheck(url=Secret("http://a/"), headers={"X-A": Secret("1")}))

    assert b"1" not in told.words

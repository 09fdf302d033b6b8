"""Checks and notifiers of other packages, found by their entry points."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from laya_uptime import plugins
from laya_uptime.config.configuration import Configuration
from laya_uptime.config.json_schema import json_schema

MODULE = """
    import msgspec

    class ImapCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        url: str
        mailbox: str = "INBOX"

        @property
        def target(self):
            return self.url

    class NoStruct:
        pass

    def no_class():
        pass
"""
ENTRY_POINTS = """
    [laya_uptime.checks]
    imap = other_package:ImapCheck
    odd = other_package:NoStruct
    odder = other_package:no_class
    gone = other_package:Gone
    missing = no_such_package:Check
    http = other_package:ImapCheck
"""


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package as pip would install it."""
    (tmp_path / "other_package.py").write_text(dedent(MODULE))
    info = tmp_path / "other_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(dedent(ENTRY_POINTS))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("other_package", None)


@pytest.mark.usefixtures("other_package")
def test_a_check_of_another_package_is_found_by_its_name_and_by_its_scheme(
    configured: Callable[..., Configuration],
) -> None:
    found = configured(
        """
        monitors:
          a: imap://mail.example/
          b: {type: imap, url: imaps://mail.example/, mailbox: Ops}
        """
    )

    assert [type(watched.check).__name__ for watched in found.monitors] == ["ImapCheck", "ImapCheck"]
    assert [watched.monitor.target for watched in found.monitors] == ["imap://mail.example/", "imaps://mail.example/"]


@pytest.mark.usefixtures("other_package")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "monitors: {a: {type: imap, url: 'imap://x/', mailbx: y}}",
            "unknown key 'mailbx' under monitors.a; did you mean",
        ),
        (
            "monitors: {a: 'imp://x/'}",
            "no check is called 'imp'. Did you mean 'imap'? Known: dns, gone, http, https, imap,",
        ),
        ("monitors: {a: 'odd://x/'}", "the check 'odd' has no options struct"),
        ("monitors: {a: 'odder://x/'}", "the check 'odder' is installed but cannot be loaded (TypeError: "),
        ("monitors: {a: 'gone://x/'}", "the check 'gone' is installed but cannot be loaded (AttributeError: "),
        (
            "monitors: {a: 'missing://x/'}",
            "the check 'missing' is installed but cannot be loaded (ModuleNotFoundError: ",
        ),
    ],
)
def test_what_is_wrong_with_a_check_of_another_package_is_told(
    complaint: Callable[..., str], text: str, said: str
) -> None:
    assert said in complaint(text)


@pytest.mark.usefixtures("other_package")
def test_a_built_in_name_cannot_be_taken_over() -> None:
    assert plugins.find("checks", "http").__name__ == "HttpCheck"


@pytest.mark.usefixtures("other_package")
def test_the_schema_for_editors_has_the_options_of_other_packages() -> None:
    kinds = {
        part["properties"]["type"]["const"]: part
        for part in json_schema()["properties"]["monitors"]["additionalProperties"]["anyOf"]
        if "properties" in part
    }

    assert {"http", "imap"} < set(kinds)
    assert kinds["imap"]["required"] == ["url"]


@pytest.mark.usefixtures("other_package")
def test_a_name_that_two_packages_offer_belongs_to_neither(tmp_path: Path) -> None:
    info = tmp_path / "third_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[laya_uptime.checks]\nimap = third_package:ImapCheck\n")

    with pytest.raises(TypeError, match="offered by more than one package"):
        plugins.find("checks", "imap")


@pytest.mark.parametrize("group", plugins.GROUPS)
def test_every_built_in_name_has_its_class(group: str) -> None:
    for name in plugins.names(group):
        assert isinstance(plugins.find(group, name), type)


def test_a_name_that_nobody_offers_is_not_found() -> None:
    with pytest.raises(LookupError):
        plugins.find("checks", "nothing")
    assert plugins.check_for("nothing") is None

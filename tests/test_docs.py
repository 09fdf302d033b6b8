"""The manual is whole and true: each verb, flag, variable, reason and log line is in it, and each link leads somewhere."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from laya_uptime import cli
from laya_uptime.cli.app import app
from laya_uptime.config.load import decode
from laya_uptime.domain.alert import AlertStatus, Transition
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Outcome

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted([*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md")])
VERBS = sorted(name for name in app if not name.startswith("-"))

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def named(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def section(page: Path, heading: str) -> str:
    """Return what stands under a heading of the second level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text_of(page), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{named(page)} has no heading {heading!r}"
    return found[1]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    prose = _FENCE.sub("", text_of(page))
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def variables() -> set[str]:
    """Return every environment variable that is named in a part of the program that reads the environment."""
    found = {"ALERT_WEBHOOK_FILE", "PAGERDUTY_ROUTING_KEY_FILE"}
    for file in (REPOSITORY / "src" / "laya_uptime").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if "environ" not in text or "testing" in file.parts:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _VARIABLE.fullmatch(node.value):
                found.add(node.value)
    return found


def flags(verb: str) -> set[str]:
    return {name for argument in app[verb].assemble_argument_collection() for name in argument.names}


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield every command line that the manual shows, as words, without variables in front of it."""
    for page in PAGES:
        for language, block in _FENCE.findall(text_of(page)):
            if language not in {"sh", "bash", "console"}:
                continue
            for line in block.replace("\\\n", " ").splitlines():
                if language == "console" and not line.startswith("$ "):
                    continue
                words = shlex.split(line.removeprefix("$ "), comments=True)
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words = words[1:]
                if words:
                    yield named(page), words


def test_every_verb_has_its_section() -> None:
    for verb in VERBS:
        assert f"laya-uptime {verb}" in section(REFERENCE / "command-line.md", verb)


@pytest.mark.parametrize("verb", VERBS)
def test_every_flag_is_in_the_section_of_its_verb_and_none_besides(verb: str) -> None:
    told = section(REFERENCE / "command-line.md", verb)
    cells = " ".join(re.findall(r"^\| (`.*?) \|", told, re.MULTILINE))

    assert set(re.findall(r"(?<![\w-])(?:--[a-z-]+|-[a-z]|[A-Z]{4,})(?![\w-])", cells)) - {
        "URL",
        "FILE",
        "NAME",
    } == flags(verb)


def test_every_exit_code_is_told() -> None:
    told = section(REFERENCE / "command-line.md", "Exit codes")
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", told, re.MULTILINE)}

    assert codes == {0, 1, cli.USAGE, cli.UNREACHABLE, cli.INTERNAL, cli.INTERRUPTED}


def test_every_variable_is_told() -> None:
    manual = "\n".join(text_of(page) for page in PAGES)

    assert sorted(name for name in variables() if f"`{name}" not in manual) == []


def test_the_variables_of_the_drop_in_stand_in_their_table() -> None:
    page = text_of(REFERENCE / "environment.md")

    assert (
        sorted(
            name
            for name in variables()
            if not name.startswith(("LAYA_UPTIME", "NOTIFY", "CREDENTIALS")) and f"`{name}`" not in page
        )
        == []
    )


def test_every_reason_is_told_with_its_verdict() -> None:
    page = text_of(REFERENCE / "reasons.md")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE)
    unused = section(REFERENCE / "reasons.md", "Words without a check yet")

    assert {word for word, _ in rows} | set(re.findall(r"`(\w+)`", unused)) == {str(reason) for reason in Reason}
    assert {word for word, verdict in rows if verdict == "unknown"} == {
        str(reason) for reason in Reason if reason.is_ours
    }
    assert {verdict for _, verdict in rows} == {str(outcome) for outcome in Outcome if outcome is not Outcome.UP}


def test_every_status_and_transition_of_an_alert_is_told() -> None:
    page = text_of(REFERENCE / "channels.md")

    assert [word for word in (*AlertStatus, *Transition) if f"`{word}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    prose = _FENCE.sub("", text_of(page))
    broken = []
    for link in _LINK.findall(prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(link)

    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [REPOSITORY / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        links = (link.partition("#")[0] for link in _LINK.findall(_FENCE.sub("", text_of(page))))
        waiting += [(page.parent / link).resolve() for link in links if link and "://" not in link]

    assert [named(page) for page in PAGES if page not in reached] == []


def test_every_command_that_is_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of(REPOSITORY / "Makefile"), re.MULTILINE))
    shown = 0
    for page, words in commands():
        where = f"{page}: {' '.join(words)}"
        match words:
            case ["make", *rest]:
                assert [word for word in rest if "=" not in word and word not in targets] == [], where
            case [program, verb, *rest] if Path(program).name == "laya-uptime" and not verb.startswith("-"):
                assert verb in VERBS, where
                given = {word.partition("=")[0] for word in rest if word.startswith("-")}
                assert given <= flags(verb) | {"--help"}, where
            case ["python" | "python3", script, *_] if script.endswith(".py"):
                assert (REPOSITORY / script).exists(), where
            case _:
                continue
        shown += 1
    assert shown >= 10


def test_every_file_of_ours_that_a_command_names_exists() -> None:
    ours = re.compile(r"(deploy|scripts|docs|requirements|benchmarks|tests)/[\w./-]+")
    missing = [
        f"{page}: {word}"
        for page, words in commands()
        for word in words
        if ours.fullmatch(word) and not (REPOSITORY / word).exists()
    ]

    assert missing == []


def test_every_verb_that_prose_names_exists() -> None:
    named_in_prose = {
        (named(page), verb)
        for page in PAGES
        for line in text_of(page).splitlines()
        if not line.startswith("| INFO")  # what the program says of itself
        for verb in re.findall(r"`laya-uptime ([a-z]+)\b", line)
        if verb not in VERBS
    }

    assert named_in_prose == set()


@pytest.mark.parametrize("page", ["heartbeat.md", "group.md"])
def test_the_recipes_load(page: str) -> None:
    blocks = [block for language, block in _FENCE.findall(text_of(REFERENCE / "checks" / page)) if language == "yaml"]

    assert blocks
    for block in blocks:
        configuration = decode(block, source=page, environ={"INVOICES_TOKEN": "a-token-of-a-test-1"})
        assert configuration.monitors
        assert configuration.warnings == ()


def test_the_readme_s_configuration_loads() -> None:
    blocks = [block for language, block in _FENCE.findall(text_of(REPOSITORY / "README.md")) if language == "yaml"]

    assert blocks
    for block in blocks:
        configuration = decode(block, source="README.md", environ={})
        assert configuration.monitors
        assert configuration.warnings == ()

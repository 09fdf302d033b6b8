"""Checks that run programs: only the file itself can allow them. And the manual's recipes load."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from laya_uptime import plugins
from laya_uptime.cli.serve import of_urls
from laya_uptime.config.configuration import Configuration
from laya_uptime.config.load import decode, load
from laya_uptime.errors import ConfigError, Problem

PAGES = Path(__file__).parents[3] / "docs" / "reference" / "checks"
MONITORS = {
    "exec": "monitors: {a: {type: exec, command: [check_load, -w, '5']}}",
    "python": f"monitors: {{a: {{type: python, call: '{__file__}:Problem'}}}}",
}


@pytest.mark.parametrize("kind", sorted(plugins.GUARDED))
@pytest.mark.parametrize("section", ["", "{kind}: {{}}\n", "{kind}: {{ allow: false }}\n", "{kind}:\n"])
def test_a_program_needs_the_file_s_permission(
    problems: Callable[..., tuple[Problem, ...]], kind: str, section: str
) -> None:
    (problem,) = problems(section.format(kind=kind) + MONITORS[kind])

    assert problem.what == f"monitors.a: this file does not allow checks of type {kind}, which run programs"
    assert problem.remedy == f"Write {kind}: {{ allow: true }} beside monitors:."


@pytest.mark.parametrize("kind", sorted(plugins.GUARDED))
def test_the_permission_for_one_is_none_for_the_other(
    configured: Callable[..., Configuration], problems: Callable[..., tuple[Problem, ...]], kind: str
) -> None:
    (other,) = plugins.GUARDED - {kind}

    assert len(configured(f"{kind}: {{ allow: true }}\n{MONITORS[kind]}").monitors) == 1
    assert len(problems(f"{other}: {{ allow: true }}\n{MONITORS[kind]}")) == 1


@pytest.mark.parametrize("kind", sorted(plugins.GUARDED))
def test_no_variable_gives_the_permission(kind: str) -> None:
    variable = f"LAYA_UPTIME_{kind.upper()}_ALLOW"

    with pytest.raises(ConfigError) as caught:
        decode(MONITORS[kind], source="c.yaml", environ={variable: "true"})

    assert "does not allow" in str(caught.value)


@pytest.mark.parametrize("url", ["exec:///bin/true", "exec://check_load", "python://checks.py:check"])
def test_a_url_on_the_command_line_never_runs_a_program(url: str) -> None:
    with pytest.raises(ConfigError, match="no check is called"):
        of_urls([url])


def test_relative_paths_count_from_the_directory_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "checks.py").write_text("def check():\n    return True\n")
    file = tmp_path / "laya-uptime.yaml"
    file.write_text(
        "exec: { allow: true }\npython: { allow: true }\nmonitors:\n"
        "  a: {type: exec, command: [./plugins/check]}\n  b: {type: python, call: 'checks.py:check'}\n"
    )

    disk, shop = load(file, environ={}).monitors

    assert disk.monitor.target == f"exec:{tmp_path}/plugins/check"
    assert getattr(shop.check, "call", "") == f"{tmp_path}/checks.py:check"
    assert shop.monitor.target == "python:checks.py:check"


@pytest.mark.parametrize("page", ["ping", "ws", "exec"])
def test_the_recipes_of_the_manual_load(page: str) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (PAGES / f"{page}.md").read_text("utf-8"), re.DOTALL)
    environ = {"EVENTS_TOKEN": "abc", "BACKUP_TOKEN": "def"}

    assert blocks
    for block in blocks:
        assert decode(block, source="c.yaml", environ=environ).monitors


@pytest.mark.parametrize("page", ["ping", "ws", "exec", "python"])
def test_every_option_is_on_the_page_of_its_check(page: str) -> None:
    kind = plugins.find("checks", page)
    text = (PAGES / f"{page}.md").read_text("utf-8")

    for option in kind.__struct_fields__:  # type: ignore[attr-defined]
        assert re.search(rf"^\| `{option}` \|.*`{option}: .*\|$", text, re.MULTILINE), option

"""What contributors rely on: one set of checks, a reason for each dependency, news for users, and no address to fetch from."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

# Written in pieces, so that this file may be searched too.
REGISTRIES = (
    "pypi" + ".org",
    "python" + "hosted.org",
    "registry." + "npmjs",
    "docker" + ".io",
    "ghcr" + ".io",
    "quay" + ".io",
)
SKIPPED = {".git", ".venv", "dist", "build", "__pycache__"}


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


def texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Walk over what is written by people: no virtual environment, no cache, no built or binary file."""
    for path in sorted(folder.iterdir()):
        if path.name in SKIPPED or path.name.endswith("_cache") or path.name == ".hypothesis" or path.is_symlink():
            continue
        if path.is_dir():
            yield from texts(path)
        elif path.is_file():
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def test_no_file_names_a_package_registry(repository: Path) -> None:
    named = [
        f"{path.relative_to(repository)}: {registry}"
        for path, text in texts(repository)
        for registry in REGISTRIES
        if registry in text
    ]

    assert named == []


def test_pip_and_uv_are_told_no_index(repository: Path) -> None:
    told = re.compile(
        r"(?<!no-emit-)index-url|extra-index|find-links=|--find-links |PIP_INDEX|UV_INDEX|UV_DEFAULT_INDEX"
    )
    files = ["Makefile", ".ci/run", "scripts/Dockerfile", "scripts/requirements.txt", "pyproject.toml"]

    assert [name for name in files if told.search((repository / name).read_text(encoding="utf-8"))] == []


def test_ci_runs_what_a_contributor_runs(repository: Path) -> None:
    text = (repository / ".ci/run").read_text(encoding="utf-8")

    assert [line for line in text.splitlines() if line.startswith("make ")] == ["make check", "make test"]
    assert "set -euo pipefail" in text
    assert (repository / ".ci/run").stat().st_mode & 0o111


def test_a_commit_is_checked_by_the_commands_of_make_check(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe is not None
    checks = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]

    loaded = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text(encoding="utf-8"))

    assert [repo["repo"] for repo in loaded["repos"]] == ["local"]
    assert [hook["entry"] for hook in loaded["repos"][0]["hooks"]] == checks
    assert {hook["language"] for hook in loaded["repos"][0]["hooks"]} == {"system"}


def plain(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[._]", "-", name[0]).lower()


def test_every_dependency_has_a_written_reason(repository: Path, project: dict[str, Any]) -> None:
    text = (repository / "docs/dependencies.md").read_text(encoding="utf-8")
    reasons = {
        plain(name): reason
        for name, reason in re.findall(r"^\| `([^`]+)` \|(?:[^|\n]*\|)* ([^|\n]+) \|$", text, re.MULTILINE)
    }
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for group in (*project["dependency-groups"].values(), *project["project"]["optional-dependencies"].values()):
        wanted += [entry for entry in group if isinstance(entry, str)]
    lock = (repository / "requirements/core.txt").read_text(encoding="utf-8")
    wanted += re.findall(r"^[a-z0-9.-]+(?===)", lock, re.MULTILINE)

    assert sorted({plain(name) for name in wanted} - reasons.keys()) == []
    assert sorted(reasons.keys() - {plain(name) for name in wanted}) == [], "a reason for what is not used any more"


def test_the_changelog_can_be_written_from_its_fragments(repository: Path, project: dict[str, Any]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "99.0.0", "--date", "2030-01-01"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "99.0.0" in done.stdout
    kinds = {kind["directory"] for kind in project["tool"]["towncrier"]["type"]}
    named = re.compile(rf"^\+?[\w-]+\.({'|'.join(kinds)})(\.\d+)?\.md$")
    fragments = [path.name for path in (repository / "changelog.d").iterdir() if not path.name.startswith(".")]
    assert [name for name in fragments if not named.match(name)] == []


def test_a_decision_record_says_context_decision_and_consequences(repository: Path) -> None:
    records = sorted((repository / "docs/adr").glob("[0-9]*.md"))

    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        headings = re.findall(r"^## (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences"], path.name

"""The locks: every version and every byte of what gets installed is decided here, and from where is not."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LOCKS = ("build.txt", "core.txt", "dev.txt", "fuzz.txt")
ONE = re.compile(r"^(?P<name>[a-z0-9.-]+)==(?P<version>\S+)(?: ; (?P<marker>.+?))? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def pins(path: Path) -> dict[str, tuple[str, int]]:
    """Read each requirement's version and how many hashes it has; fail on a line that is neither."""
    found: dict[str, tuple[str, int]] = {}
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#"):
            continue
        if match := ONE.match(line):
            name = match["name"]
            assert name not in found, f"{name} is locked twice"
            found[name] = (match["version"], 0)
        else:
            assert HASH.match(line), f"neither a pinned requirement nor a hash: {line}"
            found[name] = (found[name][0], found[name][1] + 1)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_b01_every_requirement_is_pinned_with_a_hash(repository: Path, lock: str) -> None:
    found = pins(repository / "requirements" / lock)

    assert found
    assert [name for name, (_, hashes) in found.items() if not hashes] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_b01_a_lock_says_what_to_install_and_not_from_where(repository: Path, lock: str) -> None:
    text = (repository / "requirements" / lock).read_text(encoding="utf-8")

    assert (
        re.search(r"://| @ |^\s*-(i|f|e)\b|--(extra-)?index-url|--find-links|--trusted-host", text, re.MULTILINE)
        is None
    )


def test_what_is_tested_is_what_is_installed(repository: Path) -> None:
    core, build, dev = (pins(repository / "requirements" / name) for name in ("core.txt", "build.txt", "dev.txt"))

    assert {name: dev.get(name) for name in core} == core
    assert {name: dev.get(name) for name in build} == build


def test_the_core_stays_small(repository: Path) -> None:
    text = (repository / "requirements" / "core.txt").read_text(encoding="utf-8")

    assert len(pins(repository / "requirements" / "core.txt")) <= 52
    assert len(re.findall(r"#(?: via| +)\s*laya-uptime \(pyproject.toml\)", text)) <= 28


def test_the_locks_belong_to_the_project_file(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, repository / "scripts/lock.py", "--check"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_changed_dependency_without_a_new_lock_is_noticed(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "requirements", tmp_path / "requirements")
    (tmp_path / "scripts").mkdir()
    shutil.copy(repository / "scripts/lock.py", tmp_path / "scripts")
    text = (repository / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(
        text.replace("\ndependencies = [", '\ndependencies = [\n  "left-out",'), encoding="utf-8"
    )

    done = subprocess.run(
        [sys.executable, tmp_path / "scripts/lock.py", "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "requirements/core.txt was not made from this pyproject.toml. Run: make lock" in done.stderr
    assert "requirements/dev.txt was not made from this pyproject.toml. Run: make lock" in done.stderr


def test_the_scripts_requirements_are_the_hashed_core(repository: Path, tmp_path: Path) -> None:
    path = repository / "scripts/requirements.txt"
    wanted = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]

    # From another directory, without a network: everything is there already, and pip asks for hashes.
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "-r", path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert wanted == ["-r ../requirements/core.txt"]
    assert done.returncode == 0, done.stderr
    assert "Requirement already satisfied" in done.stdout

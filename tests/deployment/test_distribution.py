"""What is published: a wheel with the typed package and nothing else, the same bytes each time."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def dist(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build(repository, folder)
    return folder


def build(repository: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_wheel_holds_the_typed_package_and_no_tests(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert "laya_uptime/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {"laya_uptime", "laya_uptime-0.1.0.dist-info"}
    assert "laya_uptime-0.1.0.dist-info/licenses/LICENSE" in names
    assert [name for name in names if name.endswith((".pyc", ".db", ".log"))] == []


def test_the_wheel_brings_one_command(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")

    with zipfile.ZipFile(wheel) as archive:
        entry_points = archive.read("laya_uptime-0.1.0.dist-info/entry_points.txt").decode()
        metadata = archive.read("laya_uptime-0.1.0.dist-info/METADATA").decode()

    assert entry_points.split() == ["[console_scripts]", "laya-uptime", "=", "laya_uptime.cli:main"]
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata


def test_the_source_archive_can_be_built_tested_and_deployed(dist: Path) -> None:
    (source,) = dist.glob("*.tar.gz")

    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {
        "LICENSE",
        "Makefile",
        "deploy/systemd/laya-uptime-monitor.service",
        "pyproject.toml",
        "requirements/core.txt",
        "requirements/dev.txt",
        "scripts/Dockerfile",
        "scripts/uptime_monitoring.py",
        "src/laya_uptime/py.typed",
        "tests/conftest.py",
    } <= names
    assert [name for name in names if name.startswith((".venv", ".git/")) or "__pycache__" in name] == []


def test_b03_two_builds_are_the_same_bytes(repository: Path, dist: Path, tmp_path: Path) -> None:
    build(repository, tmp_path)

    assert digests(tmp_path) == digests(dist)


def test_the_wheel_installs_and_imports_without_the_source(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(tmp_path)]
    subprocess.run([*pip, wheel], check=True, capture_output=True)
    script = "import sys; sys.path.append(sys.argv[1]); import laya_uptime; print(laya_uptime.__file__)"

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.stdout.strip() == str(tmp_path / "laya_uptime/__init__.py")

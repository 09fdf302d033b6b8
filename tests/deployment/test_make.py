"""The Makefile: two commands for a newcomer, set up once, and plain words where they cannot run."""

import os
import pty
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

WANTED = {"help", "run", "test", "check", "kills", "bench", "fuzz", "lock", "dist", "clean"}


@pytest.fixture
def copy(repository: Path, program: Callable[[str], str], tmp_path: Path) -> Path:
    """Return a folder with the files that make looks at, and no virtual environment."""
    program("make")
    shutil.copy(repository / "Makefile", tmp_path)
    shutil.copy(repository / "pyproject.toml", tmp_path)
    shutil.copytree(repository / "requirements", tmp_path / "requirements")
    return tmp_path


@pytest.fixture
def made(copy: Path) -> Path:
    """Return such a folder with a virtual environment that make takes for complete: the one that runs the tests."""
    (copy / ".venv").mkdir()
    (copy / ".venv/bin").symlink_to(sysconfig.get_path("scripts"))
    for stamp in (".made", ".core", ".dev"):
        (copy / ".venv" / stamp).touch()
    return copy


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # What the make that runs these tests hands on is not for this one.
    handed_on = ("MAKE", "MFLAGS", "ARGS", "PYTHON", "WORKERS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(handed_on)}
    environment |= {"LC_ALL": "C.UTF-8"}
    return subprocess.run(
        ["make", "-C", str(folder), "--no-print-directory", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_lists_every_target(copy: Path) -> None:
    done = make(copy)

    listed = re.findall(r"^  make (\w+) +\S", done.stdout, re.MULTILINE)
    assert set(listed) == WANTED
    text = (copy / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)[0].split()) == WANTED | {"tools"}


def test_an_old_python_is_named_with_what_is_needed(copy: Path) -> None:
    fake = copy / "python3.9"
    fake.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.18\nexit 1\n', encoding="utf-8")
    fake.chmod(0o755)

    done = make(copy, "run", f"PYTHON={fake}")

    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        f"laya-uptime needs Python 3.11 or newer; {fake} is Python 3.9.18. Name another: make PYTHON=python3.11"
    )
    assert not (copy / ".venv").exists()


def test_a_missing_python_is_one_line_with_the_package_to_install(copy: Path) -> None:
    done = make(copy, "run", "PYTHON=/nowhere/python3")

    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        "laya-uptime needs Python 3.11 or newer, and /nowhere/python3 is not here."
        " On Debian or Ubuntu: apt install python3-venv"
    )


def test_a_python_without_venv_is_one_line_with_the_package_to_install(copy: Path) -> None:
    # As on Debian without python3-venv: there is venv, but ensurepip cannot be imported.
    (copy / "broken").mkdir()
    (copy / "broken/ensurepip.py").write_text("raise ImportError('ensurepip')\n", encoding="utf-8")
    bare = copy / "python3"
    bare.write_text(f'#!/bin/sh\nPYTHONPATH={copy}/broken exec {sys.executable} "$@"\n', encoding="utf-8")
    bare.chmod(0o755)

    done = make(copy, "test", f"PYTHON={bare}")

    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"{bare} has no venv. On Debian or Ubuntu: apt install python3-venv"


def test_nothing_is_set_up_twice(made: Path) -> None:
    done = make(made, "-n", "run")

    assert done.stdout == "exec .venv/bin/laya-uptime watch \n"


@pytest.mark.parametrize(
    ("target", "changed"),
    [
        ("run", "requirements/core.txt"),
        ("run", "requirements/build.txt"),
        ("run", "pyproject.toml"),
        ("test", "requirements/dev.txt"),
        ("test", "pyproject.toml"),
    ],
)
def test_a_changed_input_is_installed_with_hashes_first(made: Path, target: str, changed: str) -> None:
    later = (made / ".venv/.dev").stat().st_mtime + 10
    os.utime(made / changed, (later, later))

    done = make(made, "-n", target)

    assert "install --quiet --require-hashes -r requirements/" in done.stdout
    assert "install --quiet --no-deps --no-build-isolation --editable ." in done.stdout


def test_flags_are_handed_on(made: Path) -> None:
    assert make(made, "-n", "run", "ARGS=--dry-run").stdout == "exec .venv/bin/laya-uptime watch --dry-run\n"
    assert "-n 2 -k locks\n" in make(made, "-n", "test", "ARGS=-k locks").stdout


def test_ctrl_c_ends_a_run_with_its_report_and_without_an_error_from_make(
    made: Path,
    services: dict[str, str],
    eventually: Callable[[Callable[[], bool], Callable[[], str]], None],
) -> None:
    screen, terminal = pty.openpty()
    os.set_blocking(screen, False)
    shown = bytearray()

    def text() -> str:
        try:
            while piece := os.read(screen, 65536):
                shown.extend(piece)
        except OSError:  # nothing more for now, or closed
            pass
        return shown.decode(errors="replace")

    # A terminal of its own, as a person has: Ctrl-C goes to make and to what it runs.
    running = subprocess.Popen(
        [sys.executable, "-c", CONTROLLING, "make", "-C", str(made), "--no-print-directory", "run"],
        env=services | {"LAYA_UPTIME_DATA": str(made / "data"), "LOG_FILE": str(made / "watch.log")},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    try:
        eventually(lambda: "✓ Parent Portal: healthy (200)" in text(), text)
        os.write(screen, b"\x03")
        eventually(lambda: running.poll() is not None, text)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, 9)
            running.wait()
        said = text()
        os.close(screen)

    assert "Status Report - Uptime: 0:00:0" in said
    assert "make: ***" not in said


# Makes the terminal on standard input the controlling one, then becomes the command.
CONTROLLING = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)

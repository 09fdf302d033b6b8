"""scripts/uptime_monitoring.py: the name everybody knows, over the package; and one clear line where it cannot be."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

TOO_OLD = ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10")


def old_python(version: str) -> str:
    """Return the path of a working Python of this version, or skip and say so."""
    folder = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [str(path) for path in sorted(folder.glob(f"{version}.*/bin/python"))]
    if (found := shutil.which(f"python{version}")) is not None:
        candidates.append(found)
    for candidate in candidates:
        # A shim is on PATH for versions that are not there; only running it tells.
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    pytest.skip(f"not run: python{version} is not on this machine")


@pytest.mark.parametrize("version", TOO_OLD)
def test_an_old_python_says_in_one_line_what_is_wrong(repository: Path, version: str) -> None:
    python = old_python(version)

    done = subprocess.run(
        [python, repository / "scripts/uptime_monitoring.py"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"uptime_monitoring.py needs Python 3.11 or newer; this is Python {version} ({python})\n"


def test_a_missing_dependency_is_one_line_with_its_remedy(repository: Path) -> None:
    # -I -S: an interpreter for which nothing is installed.
    done = subprocess.run(
        [sys.executable, "-I", "-S", repository / "scripts/uptime_monitoring.py", "--dry-run"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.endswith("Run: pip install -r scripts/requirements.txt\n")


def test_a_missing_package_is_one_line_with_its_remedy(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    alone = shutil.copy(repository / "scripts/uptime_monitoring.py", tmp_path / "app")

    done = subprocess.run([sys.executable, "-I", "-S", alone], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr == "uptime_monitoring.py: No module named 'laya_uptime'. Run: pip install .\n"


def test_it_finds_the_source_beside_it_where_the_package_is_not_installed(repository: Path, tmp_path: Path) -> None:
    # The dependencies and no more: -S leaves out what makes the installed package known.
    environment = os.environ | {"PYTHONPATH": sysconfig.get_path("purelib"), "PYTHONDONTWRITEBYTECODE": "1"}

    done = subprocess.run(
        [sys.executable, "-S", repository / "scripts/uptime_monitoring.py", "--help"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for flag in ("--interval", "--email", "--webhook", "--log-file", "--dry-run"):
        assert flag in done.stdout


def test_a_bad_setting_ends_with_2_and_the_name_of_the_variable(repository: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, repository / "scripts/uptime_monitoring.py", "--dry-run"],
        cwd=tmp_path,
        env=os.environ | {"CHECK_INTERVAL": "abc", "LAYA_UPTIME_DATA": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "CHECK_INTERVAL" in done.stderr


def test_a_dry_run_checks_each_service_once(repository: Path, tmp_path: Path, services: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, repository / "scripts/uptime_monitoring.py", "--dry-run"],
        cwd=tmp_path,
        env=services | {"LAYA_UPTIME_DATA": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for name in ("AI Service", "Gibbon CMS", "Parent Portal"):
        assert f"✓ {name}: healthy (200)" in done.stdout

"""The data directory: private, one process at a time, and the lock ends with the process, however that ends."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from laya_uptime.adapters.directory import DataDirectory
from laya_uptime.errors import DataDirectoryError

HOLDER = """
import sys
from pathlib import Path
from laya_uptime.adapters.directory import DataDirectory
with DataDirectory(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the directory until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        assert process.stdin is not None
        process.stdin.close()


def test_a_second_process_is_refused_and_told_which_one_is_first(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(DataDirectoryError) as refusal, DataDirectory(tmp_path):
        pass

    assert f"is in use by process {holder.pid}." in str(refusal.value)
    assert "LAYA_UPTIME_DATA" in str(refusal.value)


def test_a_refusal_takes_nothing_from_the_one_that_holds_it(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    for _ in range(2):
        with pytest.raises(DataDirectoryError, match=str(holder.pid)), DataDirectory(tmp_path):
            pass


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_ends_with_its_process(tmp_path: Path, holder: subprocess.Popen[str], end: signal.Signals) -> None:
    holder.send_signal(end)
    holder.wait(10)

    with DataDirectory(tmp_path) as held:
        assert held == tmp_path
        assert (tmp_path / "lock").read_text(encoding="ascii") == f"{os.getpid()}\n"


def test_the_lock_ends_with_its_context_and_the_file_stays(tmp_path: Path) -> None:
    for _ in range(2):
        with DataDirectory(tmp_path):
            pass

    assert (tmp_path / "lock").exists()


def test_a_longer_number_of_an_earlier_process_leaves_no_digits(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("123456789012345\n", encoding="ascii")

    with DataDirectory(tmp_path):
        assert (tmp_path / "lock").read_text(encoding="ascii") == f"{os.getpid()}\n"


def test_a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    with DataDirectory(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    with child:
        with DataDirectory(tmp_path):
            pass
        assert child.stdin is not None
        child.stdin.close()


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_k05_every_directory_that_is_made_is_private_whatever_the_umask_is(tmp_path: Path, mask: int) -> None:
    """Also the one above: `watch` keeps its history in a directory below the data directory."""
    before = os.umask(mask)
    try:
        with DataDirectory(tmp_path / "data" / "watch"):
            pass
    finally:
        os.umask(before)

    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("data", "data/watch", "data/watch/lock")}
    assert modes == {"data": 0o700, "data/watch": 0o700, "data/watch/lock": 0o600}


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    place = tmp_path / "shared"
    place.mkdir(mode=0o750)

    with DataDirectory(place):
        pass

    assert stat.S_IMODE(place.stat().st_mode) == 0o750


@pytest.mark.parametrize("place", ["a-file", "a-file/data", "loop", "loop/data"])
def test_a_directory_that_cannot_be_made_is_refused_with_the_remedy(tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").touch()
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(DataDirectoryError) as refusal, DataDirectory(tmp_path / place):
        pass

    assert "cannot be written: " in str(refusal.value)
    assert "Set LAYA_UPTIME_DATA" in str(refusal.value)


def test_a_directory_without_leave_to_write_is_refused() -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from laya_uptime.adapters.directory import DataDirectory\n"
        "from laya_uptime.errors import DataDirectoryError\n"
        "if os.geteuid() == 0:\n"
        "    os.setuid(65532)\n"  # root may write everywhere
        "try:\n"
        "    DataDirectory(Path(sys.argv[1])).__enter__()\n"
        "except DataDirectoryError as error:\n"
        "    print(error)\n"
    )

    told = subprocess.run(
        [sys.executable, "-c", code, "/var/not-for-everybody"], capture_output=True, text=True, check=True, timeout=30
    )

    assert "cannot be written: Permission denied" in told.stdout


def test_a_full_disk_does_not_keep_the_process_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Monitoring goes on without a disk; the lock holds without the number in it."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with DataDirectory(tmp_path):
        other = os.open(tmp_path / "lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
        with pytest.raises(DataDirectoryError, match="in use by process unknown"), DataDirectory(tmp_path):
            pass


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(DataDirectoryError, match="cannot be locked: No locks available"), DataDirectory(tmp_path):
        pass

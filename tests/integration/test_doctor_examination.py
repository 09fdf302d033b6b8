"""What `doctor` finds: each finding as it is when all is well, and with its fix when it is not."""

import errno
import os
import shutil
import socket
import sqlite3
import ssl
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from laya_uptime.adapters import examination
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.examination import STALE, Finding, examine, heartbeat
from laya_uptime.adapters.stores.sqlite import FILE, SqliteStore
from laya_uptime.testing.clock import NOON, FakeClock

SECOND = timedelta(seconds=1)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    return directory


def found(name: str, findings: Iterable[Finding]) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def examined(directory: Path) -> list[Finding]:
    return list(examine(directory, SystemClock()))


def files_in(directory: Path) -> dict[str, tuple[int, int]]:
    return {str(file): (file.stat().st_mtime_ns, file.stat().st_size) for file in directory.rglob("*")}


async def beat(directory: Path, *, ago: timedelta = timedelta(0)) -> Path:
    store = SqliteStore(directory)
    await store.open([], [], at=NOON)
    await store.commit([], seq=1, at=NOON - ago)
    await store.close()
    return store.path


def test_everything_is_examined_in_one_order(place: Path) -> None:
    names = [finding.name for finding in examined(place)]

    assert names == ["SQLite", "clock", "data directory", "disk", "write speed", "certificates", "names", "pings"]


async def test_the_heartbeats_of_the_service_and_of_the_drop_in_are_examined(place: Path) -> None:
    (place / "watch").mkdir()
    await beat(place)
    await beat(place / "watch")

    findings = [finding for finding in examine(place, FakeClock()) if finding.name == "heartbeat"]

    assert [finding.good for finding in findings] == [True, True]
    assert str(place / "watch" / FILE) in findings[1].what


async def test_an_examination_leaves_nothing_behind(place: Path) -> None:
    await beat(place)
    before = files_in(place)

    examined(place)

    assert files_in(place) == before


def test_an_examination_makes_no_data_directory(tmp_path: Path) -> None:
    missing = tmp_path / "not" / "yet"

    finding = found("data directory", examined(missing))

    assert finding.good is True
    assert not missing.parent.exists()


def test_what_is_not_good_has_a_sentence_and_a_remedy(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The face writes them one after the other."""
    place.chmod(0o755)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 40, 1))
    monkeypatch.setattr(examination, "_LOW", 1 << 62)
    monkeypatch.setattr(examination, "_SLOW_SYNC_MS", 0.0)
    monkeypatch.setattr(examination, "why_not", lambda: "this user may not send pings; run: sysctl")
    (place / FILE).write_text("no database", encoding="utf-8")

    findings = [finding for finding in examined(place) if finding.good is not True]

    assert {finding.name for finding in findings} == {
        "SQLite",
        "data directory",
        "disk",
        "write speed",
        "pings",
        "heartbeat",
    }
    assert all(finding.what.endswith(".") and finding.remedy for finding in findings)


# SQLite


@pytest.mark.parametrize("version", [(3, 51, 3), (3, 52, 0), (4, 0, 0), (3, 50, 7), (3, 50, 12)])
def test_a_version_that_has_the_fix_is_good(
    place: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int]
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)

    assert found("SQLite", examined(place)).good is True


@pytest.mark.parametrize("version", [(3, 7, 0), (3, 40, 1), (3, 50, 6), (3, 51, 0), (3, 51, 2)])
def test_a_version_that_can_lose_commits_is_a_warning(
    place: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int]
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)

    finding = found("SQLite", examined(place))

    assert finding.good is None
    assert "3.51.3" in finding.remedy


# The data directory


def test_a_private_directory_is_good(place: Path) -> None:
    assert found("data directory", examined(place)) == Finding("data directory", True, str(place))


@pytest.mark.parametrize("mode", [0o750, 0o755, 0o777, 0o701])
def test_a_directory_that_others_may_look_into_is_a_warning(place: Path, mode: int) -> None:
    place.chmod(mode)

    finding = found("data directory", examined(place))

    assert finding.good is None
    assert finding.remedy == f"chmod 700 {place}"


def test_a_directory_that_cannot_be_written_is_a_fault(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)

    finding = found("data directory", examined(place))

    assert finding.good is False
    assert "LAYA_UPTIME_DATA" in finding.remedy


# Disk


@pytest.mark.parametrize(
    ("free", "good"), [(10_000_000_000, True), (200_000_001, True), (200_000_000, False), (0, False)]
)
def test_room_on_the_disk(place: Path, monkeypatch: pytest.MonkeyPatch, free: int, *, good: bool) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))

    finding = found("disk", examined(place))

    assert finding.good is good
    assert "free" in finding.what


def test_a_durable_write_is_timed(place: Path) -> None:
    class Ticking(SystemClock):
        def __init__(self, each: float) -> None:
            self.each, self.now_at = each, 0.0

        def monotonic(self) -> float:
            self.now_at += self.each
            return self.now_at

    fast = found("write speed", examine(place, Ticking(20 * 0.001)))
    slow = found("write speed", examine(place, Ticking(20 * 0.2)))

    assert (fast.good, fast.what) == (True, "1.0 ms for a durable write")
    assert (slow.good, slow.what) == (None, "a durable write takes 200 ms.")


def test_a_disk_that_takes_nothing_is_a_fault(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    finding = found("write speed", examined(place))

    assert finding.good is False
    assert "No space left on device" in finding.what


# The rest of the machine


@pytest.mark.parametrize(
    ("known", "directory", "good"), [(140, None, True), (0, "/etc/ssl/certs", True), (0, None, False)]
)
def test_certificate_authorities(
    place: Path, monkeypatch: pytest.MonkeyPatch, known: int, directory: str | None, *, good: bool
) -> None:
    context = SimpleNamespace(get_ca_certs=lambda: [None] * known)
    monkeypatch.setattr(ssl, "create_default_context", lambda: context)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: SimpleNamespace(capath=directory))

    assert found("certificates", examined(place)).good is good


def test_name_resolution(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    well = found("names", examined(place))

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    ill = found("names", examined(place))

    assert well.good is True
    assert "127.0.0.1" in well.what or "::1" in well.what
    assert ill.good is False
    assert "Name or service not known" in ill.what


# The heartbeat


@pytest.mark.parametrize(
    ("ago", "good"),
    [
        (timedelta(0), True),
        (STALE, True),
        (STALE + SECOND, False),
        (timedelta(days=3), False),
        (-timedelta(hours=1), True),
    ],
)
async def test_a_heartbeat_is_good_while_it_is_fresh(place: Path, ago: timedelta, *, good: bool) -> None:
    """One from the future is fresh as well: somebody set the clock back, and the service goes on."""
    finding = heartbeat(await beat(place, ago=ago), FakeClock())

    assert finding.good is good
    assert f"{max(ago.total_seconds(), 0):.0f} s" in finding.what


async def test_a_heartbeat_is_read_while_the_service_writes(place: Path) -> None:
    store = SqliteStore(place)
    await store.open([], [], at=NOON)
    await store.commit([], seq=1, at=NOON)

    before = heartbeat(store.path, FakeClock())
    await store.commit([], seq=2, at=NOON + timedelta(minutes=10))
    after = heartbeat(store.path, FakeClock(NOON + timedelta(minutes=10)))

    assert (before.good, after.good) == (True, True)
    await store.close()


async def test_a_database_that_no_service_has_worked_on_has_no_heartbeat(place: Path) -> None:
    store = SqliteStore(place)
    await store.open([], [], at=NOON)
    await store.close()

    finding = heartbeat(store.path, FakeClock())

    assert (finding.good, finding.remedy) == (False, "Start it.")


def text(path: Path) -> None:
    path.write_text("no database\n" * 100, encoding="utf-8")


def of_something_else(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")


@pytest.mark.parametrize("make", [text, of_something_else])
def test_what_is_no_database_of_ours_is_a_fault(place: Path, make: Callable[[Path], None]) -> None:
    make(place / FILE)

    finding = heartbeat(place / FILE, FakeClock())

    assert finding.good is False
    assert "cannot be read" in finding.what
    assert finding.remedy


def test_a_database_that_is_not_there_is_told_and_not_made(place: Path) -> None:
    finding = heartbeat(place / FILE, FakeClock())

    assert (finding.good, finding.remedy) == (False, "Start it.")
    assert not (place / FILE).exists()

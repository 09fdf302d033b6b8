"""D06, D07: a disk that is full, broken or slow and a database that somebody else holds: told, and nothing half done."""

import asyncio
import contextlib
import errno
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from laya_uptime.adapters.ledger import blob
from laya_uptime.adapters.stores import sqlite
from laya_uptime.adapters.stores.sqlite import SqliteStore
from laya_uptime.domain.change import Attempt, Change
from laya_uptime.errors import StoreCorrupt, StoreError
from laya_uptime.failpoints import POINTS
from laya_uptime.ports import Write
from laya_uptime.testing.builders import a_change, a_result, an_alert_due, an_incident
from laya_uptime.testing.clock import NOON
from laya_uptime.testing.store_contract import MINUTE, SHOP, Contents, claim, ids, opened, pruned, sent, up

Query = Callable[..., list[tuple[Any, ...]]]
Read = Callable[[SqliteStore], Contents]

IN_TRANSACTION = [
    "check.before_begin",
    "check.after_result",
    "check.after_state",
    "check.after_incident",
    "check.after_outbox",
    "check.before_commit",
    "delivery.retry_write",
    "delivery.inside_stamp",
]
AFTER_COMMIT = ["check.after_commit", "delivery.after_stamp"]


class Failing:
    """In the place of `fp`: raises at one point as long as it is told to, and notes what was passed."""

    def __init__(self) -> None:
        self.point = ""
        self.number = 0
        self.passed: list[str] = []

    def __call__(self, point: str, /) -> None:
        self.passed.append(point)
        if point == self.point:
            raise OSError(self.number, os.strerror(self.number))


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    failing = Failing()
    monkeypatch.setattr(sqlite, "fp", failing)
    return failing


def everything_at_once() -> list[Write]:
    """A batch that passes every point of the store: a round with all its consequences, a stamp and a failed attempt."""
    return [
        replace(
            up(),
            results=(a_result("x", SHOP),),
            incidents=(an_incident(),),
            alerts=(an_alert_due("chat", incident="new"),),
        ),
        sent(an_alert_due("chat"), at=NOON),
        Attempt(
            alert_id=an_alert_due("mail").alert.id,
            attempts=1,
            dead_at=NOON,
            cause="refused",
            also=(an_alert_due("chat", incident="note"),),
        ),
    ]


async def prepared(store: SqliteStore) -> None:
    await opened(store)
    await store.commit([a_change(an_alert_due("chat"), an_alert_due("mail"))], seq=1, at=NOON)
    await claim(store)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS], ids=lambda number: errno.errorcode[number])
@pytest.mark.parametrize("point", IN_TRANSACTION)
async def test_d06_a_disk_error_at_any_point_before_the_commit_writes_nothing(
    store: SqliteStore, contents: Read, failing: Failing, point: str, number: int
) -> None:
    await prepared(store)
    before = contents(store)
    failing.point, failing.number = point, number

    with pytest.raises(StoreError, match=os.strerror(number)):
        await store.commit(everything_at_once(), seq=2, at=NOON)

    assert contents(store) == before
    failing.point = ""
    await store.commit(everything_at_once(), seq=2, at=NOON)
    after = contents(store)
    assert len(after.outbox) == len(before.outbox) + 2
    assert after.results == [("shop", NOON)]
    await store.close()


@pytest.mark.parametrize("point", AFTER_COMMIT)
async def test_d06_a_commit_that_only_seems_to_have_failed_is_repeated_without_harm(
    store: SqliteStore, contents: Read, failing: Failing, point: str
) -> None:
    await prepared(store)
    failing.point, failing.number = point, errno.EIO

    with pytest.raises(StoreError):
        await store.commit(everything_at_once(), seq=2, at=NOON)

    written = contents(store)
    assert written.results == [("shop", NOON)]
    failing.point = ""
    await store.commit(everything_at_once(), seq=2, at=NOON)
    assert contents(store) == written
    await store.close()


async def test_every_point_of_the_ledger_is_passed_in_order(store: SqliteStore, failing: Failing) -> None:
    await prepared(store)
    failing.passed.clear()

    await store.commit(everything_at_once(), seq=2, at=NOON)

    assert failing.passed == [
        "check.before_begin",
        "check.after_result",
        "check.after_state",
        "check.after_incident",
        "check.after_outbox",
        "delivery.inside_stamp",
        "delivery.retry_write",
        "check.before_commit",
        "check.after_commit",
        "delivery.after_stamp",
    ]
    assert set(failing.passed) <= set(POINTS)
    await store.close()


async def test_a_commit_without_a_round_passes_no_point_of_the_check_path(store: SqliteStore, failing: Failing) -> None:
    await prepared(store)
    failing.passed.clear()

    await store.commit([], seq=2, at=NOON)

    assert failing.passed == []
    await store.close()


async def test_d07_a_database_that_somebody_holds_is_written_when_it_is_free_again(
    store: SqliteStore, contents: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    await prepared(store)
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match="locked"):
            await store.commit([up()], seq=2, at=NOON)
        with pytest.raises(StoreError, match="locked"):
            await claim(store)
        assert await store.next_due(["chat"]) is not None

        stranger.execute("ROLLBACK")

    await store.commit([up()], seq=2, at=NOON)
    assert list(contents(store).spans) == ["shop"]
    await store.close()


LOCKER = """
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(0.2)
c.execute("COMMIT")
"""


def locked(path: Path) -> subprocess.Popen[bytes]:
    """Start another process that holds the database for a moment."""
    return subprocess.Popen([sys.executable, "-c", LOCKER, str(path)], stdout=subprocess.PIPE)


async def test_d07_a_lock_that_ends_soon_is_waited_for(store: SqliteStore) -> None:
    await prepared(store)
    with locked(store.path) as locker:
        assert locker.stdout is not None
        assert locker.stdout.readline() == b"held\n"

        await store.commit([up()], seq=2, at=NOON)

    await store.close()


async def test_d07_a_database_that_is_locked_at_the_start_is_no_damage(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    await prepared(store)
    await store.close()
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN EXCLUSIVE")

        with pytest.raises(StoreError) as told:
            await opened(store)

    assert not isinstance(told.value, StoreCorrupt)
    assert (await opened(store)).seq == 1
    await store.close()


async def test_a_fault_of_our_own_is_a_fault_of_the_store_too(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, contents: Read
) -> None:
    """Whoever writes must learn that it is not written, and no foreign text gets into a message."""
    await prepared(store)
    before = contents(store)

    def fail(*_: object) -> bytes:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(blob, "pack", fail)
    with pytest.raises(StoreError, match="ZeroDivisionError") as told:
        await store.commit(everything_at_once(), seq=2, at=NOON)

    assert "a secret" not in str(told.value)
    assert contents(store) == before
    await store.close()


WRITER = """
import asyncio, os, resource, signal, sys
from datetime import timedelta
from pathlib import Path
from laya_uptime.adapters.stores.sqlite import SqliteStore
from laya_uptime.errors import StoreError
from laya_uptime.testing.builders import a_change, a_result, an_alert_due
from laya_uptime.testing.clock import NOON
from laya_uptime.testing.store_contract import SHOP, opened, up

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await opened(store)
    seq, status = 0, 0
    free, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, free))  # EFBIG where it would be ENOSPC
    refused = 0
    while refused < 3:
        try:
            results = [a_result(".", SHOP)] * 100
            await store.commit([up(seq=status), a_change(results=results)], seq=seq + 1, at=NOON)
        except StoreError:
            refused += 1
        else:
            seq, status = seq + 1, status + 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, free))
    full_at = seq
    for _ in range(3):
        await store.commit([up(seq=status), a_change(results=results)], seq=seq + 1, at=NOON)
        seq, status = seq + 1, status + 1
    await store.close()
    print(full_at, seq)

asyncio.run(main())
"""


async def test_d06_a_file_that_may_not_grow_loses_nothing_and_is_written_again_when_it_may(
    store: SqliteStore, query: Query, contents: Read
) -> None:
    told = run(WRITER, str(store.path.parent))

    assert told.stderr == ""
    full_at, seq = map(int, told.stdout.split())
    assert full_at >= 3
    assert seq == full_at + 3
    assert query(store, "PRAGMA integrity_check") == [("ok",)]
    assert query(store, "SELECT last_seq FROM source_mark") == [(seq,)]
    assert query(store, "SELECT source_seq FROM ingest_log ORDER BY seq") == [(number + 1,) for number in range(seq)]
    assert query(store, "SELECT seq FROM monitor_status") == [(seq,)]


def run(script: str, argument: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, argument]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def fill(path: Path) -> None:
    """Write until there is no room left."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"x" * 512) == 512:
            pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


async def test_d06_a_full_disk_loses_nothing_and_is_written_again_when_there_is_room(
    small_disk: Path, query: Query
) -> None:
    store = SqliteStore(small_disk)
    await opened(store)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_500_000)
    seq = 0

    async def commit() -> None:
        nonlocal seq
        change = a_change(an_alert_due(incident=f"incident {seq}"), results=[a_result(".", SHOP)] * 100)
        await store.commit([up(seq=seq), change], seq=seq + 1, at=NOON)
        seq += 1

    with contextlib.suppress(StoreError):
        while seq < 1000:
            await commit()
    for _ in range(5):
        with pytest.raises(StoreError):
            await commit()
    full_at = seq
    claimed_when_full: list[str] | None = None
    with contextlib.suppress(StoreError):  # whether there is room for a lease depends on the last page
        claimed_when_full = ids(await claim(store))
    ballast.unlink()
    await commit()

    assert 3 <= full_at < 1000
    assert query(store, "PRAGMA integrity_check") == [("ok",)]
    assert query(store, "SELECT source_seq FROM ingest_log ORDER BY seq") == [(number + 1,) for number in range(seq)]
    assert query(store, "SELECT count(*) FROM alert_outbox") == [(seq,)]
    if claimed_when_full is None:
        assert query(store, "SELECT count(*) FROM alert_outbox WHERE lease_owner IS NOT NULL") == [(0,)]
    await store.close()


async def test_d06_a_disk_that_is_full_from_the_start_is_no_damage(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(b"x" * 3_000_000)
    fill(small_disk / "more")
    store = SqliteStore(small_disk)

    with pytest.raises(StoreError) as told:
        await opened(store)

    assert not isinstance(told.value, StoreCorrupt)
    (small_disk / "more").unlink()
    (small_disk / "ballast").unlink()
    assert (await opened(store)).seq == 0
    await store.commit([up()], seq=1, at=NOON)
    await store.close()


async def test_d06_a_disk_that_fills_up_during_a_prune_is_told(small_disk: Path, query: Query) -> None:
    store = SqliteStore(small_disk)
    await opened(store)
    for number in range(10):
        await store.commit([a_change(results=[a_result(".", SHOP)] * 100)], seq=1 + number, at=NOON)
    fill(small_disk / "more")

    # Whether it goes through depends on how much room the log has left in itself.
    with contextlib.suppress(StoreError):
        await pruned(store, before=NOON + MINUTE)

    (small_disk / "more").unlink()
    await pruned(store, before=NOON + MINUTE)
    assert query(store, "PRAGMA integrity_check") == [("ok",)]
    assert query(store, "SELECT count(*) FROM ingest_log") == [(0,)]
    await store.close()


async def test_a_slow_disk_does_not_stop_the_loop(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store works in a thread of its own."""
    await prepared(store)
    goes_on = threading.Event()
    monkeypatch.setattr(sqlite, "fp", lambda _point: goes_on.wait(30))

    commit = asyncio.ensure_future(store.commit([up()], seq=2, at=NOON))
    for _ in range(10):
        await asyncio.sleep(0)  # noqa: TID251  turns of the loop

    assert not commit.done()
    goes_on.set()
    await commit
    await store.close()


async def test_a_wait_that_is_cancelled_does_not_undo_the_commit(store: SqliteStore, contents: Read) -> None:
    await prepared(store)
    commit = asyncio.ensure_future(store.commit([up()], seq=2, at=NOON))
    await asyncio.sleep(0)  # noqa: TID251  a turn of the loop, in which the job is queued
    commit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await commit

    await store.commit([Change(monitor_id="shop")], seq=3, at=NOON)  # behind the first one, whatever became of it

    assert len(contents(store).spans) in {0, 1}
    await store.close()

"""D08: a file that is damaged, or not ours, is told from a sound one, and every byte of it is kept."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from laya_uptime.adapters.stores.sqlite import SqliteStore
from laya_uptime.errors import DataDirectoryError, StoreCorrupt, StoreError, StoreTooNew
from laya_uptime.testing.builders import a_change, a_result, an_alert_due
from laya_uptime.testing.clock import NOON
from laya_uptime.testing.store_contract import MINUTE, SHOP, claim, ids, opened, up

Query = Callable[..., list[tuple[Any, ...]]]
Damage = Callable[[Path], None]

FLIPS = 250


@pytest.fixture
async def sound(store: SqliteStore) -> SqliteStore:
    """A closed store with a little of everything in it."""
    await opened(store)
    for number in range(40):
        change = a_change(
            an_alert_due(incident=f"incident {number}"), results=[a_result(".", SHOP, at=NOON + number * MINUTE)] * 20
        )
        await store.commit([up(seq=number, at=NOON + number * MINUTE), change], seq=1 + number, at=NOON)
    await store.close()
    return store


def cut_to(size: int) -> Damage:
    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:size])

    return cut


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def text(path: Path) -> None:
    path.write_text("this is no database\n" * 500, encoding="utf-8")


def noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def a_page_of_noise(path: Path) -> None:
    written = bytearray(path.read_bytes())
    written[4096:8192] = random.Random(1).randbytes(4096)
    path.write_bytes(bytes(written))


def of_something_else(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")
        database.execute("INSERT INTO bookmarks VALUES ('https://example.org')")
        database.commit()


def without_a_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("DELETE FROM alembic_version")
        database.commit()


def with_an_unknown_status(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE monitor_status SET status = 'uq'")
        database.commit()


def with_an_instant_that_no_calendar_has(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE monitor_status SET since = 1 << 60")
        database.commit()


def with_text_that_is_no_utf8(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE monitor SET target = CAST(x'ff6f' AS TEXT)")
        database.commit()


def content_of(path: Path) -> bytes:
    return path.read_bytes()


DAMAGES = [
    cut_to(1),
    cut_to(100),
    cut_to(4096),
    cut_in_half,
    zeros,
    text,
    noise,
    a_page_of_noise,
    of_something_else,
    without_a_version,
    with_an_unknown_status,
    with_an_instant_that_no_calendar_has,
    with_text_that_is_no_utf8,
]
NAMES = ["one byte", "100 bytes", "one page", *(damage.__name__.replace("_", " ") for damage in DAMAGES[3:])]


@pytest.mark.parametrize("damage", DAMAGES, ids=NAMES)
async def test_d08_a_damaged_file_is_told_as_such_set_aside_whole_and_replaced(
    sound: SqliteStore, damage: Damage
) -> None:
    damage(sound.path)
    as_found = sound.path.read_bytes()

    with pytest.raises(StoreCorrupt) as told:
        await opened(sound)
    kept = Path(await sound.set_aside(at=NOON))
    memory = await opened(sound)

    assert str(sound.path) in str(told.value)
    assert kept.name == "laya-uptime.db.corrupt-20261125T120000Z"
    assert content_of(kept) == as_found
    assert memory.monitors == {}
    await sound.commit([up()], seq=1, at=NOON)
    await sound.close()


async def test_d08_an_empty_file_is_a_new_database(sound: SqliteStore) -> None:
    sound.path.write_bytes(b"")

    memory = await opened(sound)
    await sound.commit([up()], seq=1, at=NOON)

    assert memory.seq == 0
    connection = sound._connection
    assert connection is not None
    assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    await sound.close()


async def test_d08_an_empty_file_with_a_log_beside_it_was_cut_off(store: SqliteStore) -> None:
    await opened(store)
    await store.commit([up()], seq=1, at=NOON)
    log = store.path.with_name("laya-uptime.db-wal").read_bytes()
    await store.close()
    store.path.write_bytes(b"")
    store.path.with_name("laya-uptime.db-wal").write_bytes(log)

    with pytest.raises(StoreCorrupt):
        await opened(store)
    kept = Path(await store.set_aside(at=NOON))

    assert kept.with_name(f"{kept.name}-wal").read_bytes() == log
    assert (await opened(store)).seq == 0
    await store.close()


async def test_d08_a_flipped_bit_is_never_worse_than_a_damaged_file(sound: SqliteStore) -> None:
    """Each of the first hundred bytes, then some of the rest. A bit in a result may change what it says, no more."""
    chance = random.Random(8)
    clean = sound.path.read_bytes()
    places = [*range(100), *(chance.randrange(100, len(clean)) for _ in range(FLIPS))]
    seen = {"sound": 0, "damaged": 0, "newer": 0}

    for place in places:
        damaged = bytearray(clean)
        damaged[place] ^= 1 << chance.randrange(8)
        sound.path.write_bytes(bytes(damaged))
        try:
            await opened(sound)
        except StoreCorrupt:
            seen["damaged"] += 1
            assert sound.path.read_bytes() == bytes(damaged)
            continue
        except StoreTooNew:  # a digit of the revision itself
            seen["newer"] += 1
            continue
        seen["sound"] += 1
        await _use(sound)
        await sound.close()

    assert sum(seen.values()) == len(places)
    assert seen["damaged"] > FLIPS / 10
    assert seen["sound"] > FLIPS / 10


async def _use(store: SqliteStore) -> None:
    for _ in range(2):
        try:
            await claim(store, at=NOON + timedelta(days=1))
            await store.next_due(["chat", "mail"])
            await store.prune(before=NOON + MINUTE)
            await store.commit([a_change(an_alert_due("mail"))], seq=99, at=NOON)
        except StoreError:
            continue


async def test_an_alert_that_the_disk_has_garbled_holds_up_no_other(store: SqliteStore, query: Query) -> None:
    await opened(store)
    garbled, sound = an_alert_due(incident="garbled"), an_alert_due(incident="sound")
    await store.commit([a_change(garbled, sound)], seq=1, at=NOON)
    connection = store._connection
    assert connection is not None
    connection.execute("UPDATE alert_outbox SET payload = ? WHERE id = ?", (b"{\xff", garbled.alert.id))

    claimed = ids(await claim(store))

    assert claimed == [sound.alert.id]
    [(decision, dead_at)] = query(store, "SELECT decision, dead_at FROM alert_outbox WHERE id = ?", garbled.alert.id)
    assert decision.endswith("given up: it cannot be read")
    assert dead_at is not None
    assert await claim(store, at=NOON + timedelta(days=1)) != []
    await store.close()


async def test_what_was_set_aside_in_the_same_second_is_kept_too(store: SqliteStore) -> None:
    kept = []
    for content in (b"first" * 1000, b"second" * 1000, b"third" * 1000):
        store.path.write_bytes(content)
        with pytest.raises(StoreCorrupt):
            await opened(store)
        kept.append(Path(await store.set_aside(at=NOON)))

    assert [file.read_bytes()[:5] for file in kept] == [b"first", b"secon", b"third"]
    assert [file.name.rpartition("Z")[2] for file in kept] == ["", "-2", "-3"]


async def test_a_journal_of_the_damaged_file_does_not_run_into_the_fresh_one(store: SqliteStore) -> None:
    store.path.write_bytes(b"damaged" * 1000)
    journal = store.path.with_name("laya-uptime.db-journal")
    with pytest.raises(StoreCorrupt):
        await opened(store)
    journal.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(504))

    kept = Path(await store.set_aside(at=NOON))

    assert kept.with_name(f"{kept.name}-journal").exists()
    assert not journal.exists()


async def test_what_was_set_aside_with_its_log_can_still_be_read(store: SqliteStore, tmp_path: Path) -> None:
    await opened(store)
    await store.commit([up()], seq=1, at=NOON)
    other = tmp_path / "killed"
    other.mkdir()
    for name in ("laya-uptime.db", "laya-uptime.db-wal"):  # as a killed process leaves them
        (other / name).write_bytes(store.path.with_name(name).read_bytes())
    await store.close()
    killed = SqliteStore(other)

    kept = Path(await killed.set_aside(at=NOON))

    with closing(sqlite3.connect(kept)) as database:
        assert database.execute("SELECT last_seq FROM source_mark").fetchall() == [(1,)]


async def test_a_place_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "laya-uptime.db").mkdir()

    with pytest.raises(DataDirectoryError):
        await opened(SqliteStore(tmp_path))
    with pytest.raises(DataDirectoryError):
        await opened(SqliteStore(tmp_path / "missing"))


async def test_a_store_that_is_not_open_says_so(store: SqliteStore) -> None:
    with pytest.raises(StoreError, match="is not open"):
        await store.commit([], seq=1, at=NOON)
    await opened(store)
    await store.close()

    with pytest.raises(StoreError, match="is not open"):
        await claim(store)
    await store.close()


async def test_a_store_can_be_opened_again_where_it_is_open(store: SqliteStore) -> None:
    await opened(store)
    await store.commit([up(), a_change(an_alert_due())], seq=1, at=NOON)

    memory = await opened(store)

    assert memory.seq == 1
    await store.commit([a_change(an_alert_due("mail"))], seq=2, at=NOON)
    await store.close()


async def test_a_database_that_was_just_born_and_killed_is_finished_at_the_next_start(store: SqliteStore) -> None:
    """Between the first page and the tables lies a moment."""
    with closing(sqlite3.connect(store.path)) as database:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")

    await opened(store)
    await store.commit([up()], seq=1, at=NOON)

    connection = store._connection
    assert connection is not None
    assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    await store.close()

"""A database of an earlier release is brought up to date: backed up first, each step whole, nothing lost."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from laya_uptime.adapters.ledger import first, migrate
from laya_uptime.adapters.stores.sqlite import SqliteStore
from laya_uptime.domain.change import Change
from laya_uptime.domain.heartbeat import Pulse
from laya_uptime.errors import StoreError, StoreTooNew
from laya_uptime.testing.builders import a_monitor, a_result, an_alert_due, an_incident
from laya_uptime.testing.clock import NOON
from laya_uptime.testing.store_contract import CHANNELS, MINUTE, Contents, claim, ids, opened, up

Query = Callable[..., list[tuple[Any, ...]]]

STEP = '''
"""A step of the test: {title}."""

import os
import signal

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("monitor") as monitor:
        monitor.add_column(sa.Column("note_{revision}", sa.Text(), nullable=False, server_default=""))
    if os.environ.get("TEST_STOP_IN") == "{revision}":
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get("TEST_FAIL_IN") == "{revision}":
        op.execute("INSERT INTO no_such_table VALUES (1)")
    op.create_table("extra_{revision}", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("UPDATE monitor SET note_{revision} = 'was ' || slug")
'''

OPEN = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from laya_uptime.adapters.ledger import first, migrate
from laya_uptime.adapters.stores.sqlite import SqliteStore

migrate.SCRIPTS, first.HEAD = Path(sys.argv[2]), "0004"
asyncio.run(SqliteStore(Path(sys.argv[1])).open([], [], at=datetime(2026, 11, 25, 12, tzinfo=UTC)))
"""


@pytest.fixture
def old(tmp_path: Path) -> SqliteStore:
    # Characters that mean something in URLs and in configuration files must mean nothing in a path.
    directory = tmp_path / "50 % of ?a=b# ü"
    directory.mkdir()
    return SqliteStore(directory)


@pytest.fixture
async def filled(old: SqliteStore) -> SqliteStore:
    await opened(old)
    await old.commit([up(), *_round()], seq=1, at=NOON)
    await old.close()
    return old


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program whose schema is two steps ahead."""
    scripts = tmp_path / "chain"
    shutil.copytree(migrate.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    for revision, before in (("0003", "0002"), ("0004", "0003")):
        text = STEP.format(revision=revision, before=before, title=f"a column and a table of {revision}")
        (scripts / "versions" / f"r{revision}_test.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(migrate, "SCRIPTS", scripts)
    monkeypatch.setattr(first, "HEAD", "0004")
    return scripts


async def test_data_survives_a_migration(
    filled: SqliteStore, newer: Path, query: Query, contents: Callable[[SqliteStore], Contents]
) -> None:
    before = contents(filled)

    memory = await opened(filled)

    assert memory.seq == 1
    assert memory.monitors["shop"].incident == an_incident()
    assert contents(filled) == before
    assert query(filled, "SELECT note_0003, note_0004 FROM monitor WHERE slug = 'shop'") == [("was shop", "was shop")]
    assert query(filled, "SELECT version_num FROM alembic_version") == [("0004",)]
    assert ids(await claim(filled)) == [an_alert_due().alert.id]
    await filled.commit([up(seq=1, at=NOON + MINUTE)], seq=2, at=NOON)
    await filled.close()


async def test_a_migrated_database_is_written_as_durably_as_a_fresh_one(filled: SqliteStore, newer: Path) -> None:
    await opened(filled)

    connection = filled._connection
    assert connection is not None
    settings = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]

    assert settings == ["wal", 2]
    await filled.close()


async def test_a_verified_backup_is_made_before_a_migration(filled: SqliteStore, newer: Path) -> None:
    before = everything(filled.path)
    mask = os.umask(0)

    try:
        await opened(filled)
    finally:
        os.umask(mask)

    copy = filled.path.with_name("laya-uptime.db.before-0002")
    assert [file.name for file in copy.parent.iterdir() if "before" in file.name] == [copy.name]
    assert everything(copy) == before
    assert copy.stat().st_mode & 0o777 == 0o600
    await filled.close()


async def test_the_backup_can_be_put_back_as_the_refusal_says(
    filled: SqliteStore, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(filled.path)
    await opened(filled)
    await filled.close()
    monkeypatch.undo()
    with pytest.raises(StoreTooNew) as refusal:
        await opened(filled)

    command = str(refusal.value).rpartition("cp ")[2]
    source, _, target = command.partition(" " + str(filled.path.parent))
    shutil.copyfile(source, str(filled.path.parent) + target)

    assert everything(filled.path) == before
    memory = await opened(filled)
    assert memory.seq == 1
    await filled.close()


async def test_whoever_put_an_old_backup_back_and_worked_on_gets_a_new_backup(
    filled: SqliteStore, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = filled.path.with_name("laya-uptime.db.before-0002")
    await opened(filled)
    await filled.close()
    shutil.copyfile(copy, filled.path)
    monkeypatch.setattr(first, "HEAD", "0002")
    await opened(filled)
    await filled.commit([up(seq=1, at=NOON + MINUTE)], seq=2, at=NOON + MINUTE)
    await filled.close()
    worked_on = everything(filled.path)

    monkeypatch.setattr(first, "HEAD", "0004")
    await opened(filled)
    await filled.close()

    assert everything(copy) == worked_on


@pytest.mark.parametrize(("stopped_in", "left_at"), [("0003", "0002"), ("0004", "0003")])
async def test_u01_a_kill_in_the_middle_of_a_step_leaves_the_step_before_and_the_next_start_goes_on(
    filled: SqliteStore, newer: Path, query: Query, stopped_in: str, left_at: str
) -> None:
    before = everything(filled.path)

    died = run(OPEN, str(filled.path.parent), str(newer), TEST_STOP_IN=stopped_in)

    assert died.returncode == -signal.SIGKILL
    assert query(filled, "SELECT version_num FROM alembic_version") == [(left_at,)]
    columns = {row[1] for row in query(filled, "PRAGMA table_info(monitor)")}
    assert f"note_{stopped_in}" not in columns  # no half step
    assert not [name for (name,) in query(filled, "SELECT name FROM sqlite_master") if "_alembic_tmp" in name]
    if left_at == "0002":
        assert everything(filled.path) == before
    memory = await opened(filled)
    assert memory.monitors["shop"].incident == an_incident()
    assert query(filled, "SELECT version_num FROM alembic_version") == [("0004",)]
    await filled.close()


async def test_a_step_that_fails_changes_nothing_and_can_be_tried_again(
    filled: SqliteStore, newer: Path, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_FAIL_IN", "0003")
    before = everything(filled.path)

    with pytest.raises(StoreError):
        await opened(filled)

    assert everything(filled.path) == before
    monkeypatch.delenv("TEST_FAIL_IN")
    await opened(filled)
    assert query(filled, "SELECT version_num FROM alembic_version") == [("0004",)]
    await filled.close()


async def test_u02_a_newer_database_is_refused_with_the_restore_command_and_left_alone(
    filled: SqliteStore, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened(filled)
    await filled.close()
    monkeypatch.undo()
    before = {file.name: file.read_bytes() for file in filled.path.parent.iterdir()}

    with pytest.raises(StoreTooNew) as refusal:
        await opened(filled)

    assert "schema 0004, this one knows 0002" in str(refusal.value)
    assert f"cp {filled.path}.before-0002 {filled.path}" in str(refusal.value)
    assert {file.name: file.read_bytes() for file in filled.path.parent.iterdir()} == before


async def test_the_daily_path_loads_neither_sqlalchemy_nor_alembic(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from datetime import UTC, datetime\n"
        "from pathlib import Path\n"
        "from laya_uptime.adapters.stores.sqlite import SqliteStore\n"
        "store = SqliteStore(Path(sys.argv[1]))\n"
        "async def twice():\n"
        "    for _ in range(2):\n"
        "        await store.open([], [], at=datetime(2026, 11, 25, tzinfo=UTC))\n"
        "        await store.close()\n"
        "asyncio.run(twice())\n"
        "print(sorted({'sqlalchemy', 'alembic'} & set(sys.modules)))\n"
    )

    told = run(script, str(tmp_path))

    assert (told.stdout, told.stderr) == ("[]\n", "")


async def test_a_database_from_before_heartbeats_keeps_its_data_and_takes_them(
    old: SqliteStore, query: Query, contents: Callable[[SqliteStore], Contents]
) -> None:
    await opened(old)
    await old.commit([up(), *_round()], seq=1, at=NOON)
    await old.close()
    _turn_back(old.path)
    before = contents(old)

    memory = await opened(old)

    assert contents(old) == before
    assert memory.monitors["shop"].incident == an_incident()
    assert memory.pulses == {}
    assert query(old, "SELECT version_num FROM alembic_version") == [("0002",)]
    await old.commit([Change(monitor_id="shop", pulse=Pulse(since=NOON))], seq=2, at=NOON)
    await old.close()
    assert (await opened(old)).pulses == {"shop": Pulse(since=NOON)}
    assert everything(old.path.with_name("laya-uptime.db.before-0001"))
    await old.close()


def _turn_back(path: Path) -> None:
    """Make the database one of the first revision, which had all that this one has but the heartbeats."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE heartbeat")
        database.execute("UPDATE alembic_version SET version_num = '0001'")


def _round() -> Iterator[Any]:
    yield Change(
        monitor_id="shop",
        results=(a_result("x", a_monitor("shop")),),
        incidents=(an_incident(),),
        alerts=(an_alert_due(CHANNELS[0]),),
    )


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def everything(path: Path) -> list[str]:
    """Return the database as SQL."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return list(database.iterdump())

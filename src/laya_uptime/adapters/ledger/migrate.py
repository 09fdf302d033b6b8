"""Bring a database of an earlier release up to date: back it up, then run the chain, each step in its transaction.

An interrupted migration leaves the last finished step behind and goes on from there at the next start.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from laya_uptime.errors import StoreCorrupt

SCRIPTS = Path(__file__).with_name("migrations")


def revisions() -> list[str]:
    """Return all revisions, oldest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def backup(path: Path, revision: str) -> Path:
    """Copy the database to `NAME.before-REVISION` next to it, verified and private, and return the copy.

    It replaces one that is there: whoever put an old backup back and worked on with it needs what came since.
    Raise StoreCorrupt where the copy, and so the database, is not sound.
    """
    copy = path.with_name(f"{path.name}.before-{revision}")
    unfinished = copy.with_name(f"{copy.name}.part")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(unfinished)) as target:
        source.backup(target)
        (verdict,) = target.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        unfinished.unlink()
        raise StoreCorrupt(f"{path} cannot be backed up before its migration: {verdict}")
    unfinished.replace(copy)
    return copy


def upgrade(path: Path, to: str = "head") -> None:
    """Run every migration that this database has not had yet. Raise sqlite3.DatabaseError where one fails on the disk."""
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)
    # Left to itself, the driver begins no transaction before a CREATE or ALTER, and half a step would stay behind.
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", _begin)
    try:
        with engine.connect() as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, to)
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.DatabaseError):
            raise error.orig from error
        raise
    finally:
        engine.dispose()


def _leave_transactions_to_us(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config

"""Bring a database of an earlier release up to date: back it up, then run the chain, each step in its transaction.

An interrupted migration leaves the last finished step behind and goes on from there at the next start.
"""

import shutil
import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool


def revisions() -> list[str]:
    """Return all revisions, oldest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def backup(path: Path, revision: str) -> Path:
    """Copy the database to `NAME.before-REVISION` next to it, verified, unless such a copy is there already."""
    copy = path.with_name(f"{path.name}.before-{revision}")
    if copy.exists():
        return copy
    unfinished = copy.with_name(f"{copy.name}.part")
    unfinished.unlink(missing_ok=True)
    with sqlite3.connect(path) as source, sqlite3.connect(unfinished) as target:
        source.backup(target)
    source.close()
    target.close()
    shutil.copymode(path, unfinished)
    check = sqlite3.connect(unfinished)
    try:
        (verdict,) = check.execute("PRAGMA integrity_check").fetchone()
    finally:
        check.close()
    if verdict != "ok":
        unfinished.unlink()
        raise sqlite3.DatabaseError(f"the backup is not sound: {verdict}")
    unfinished.rename(copy)
    return copy


def upgrade(path: Path, to: str = "head") -> None:
    """Run every migration that this database has not had yet."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    try:
        with engine.begin() as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, to)
    finally:
        engine.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    return config

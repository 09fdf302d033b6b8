"""What `doctor` looks at: each finding says what is so and, where it is not good, the fix."""

import os
import shutil
import socket
import sqlite3
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from laya_uptime.adapters.net.icmp import why_not
from laya_uptime.adapters.stores.sqlite import FILE
from laya_uptime.ports import Clock

STALE = timedelta(seconds=45)  # the heartbeat row is written every ten seconds
_LOW = 200_000_000  # bytes
_SYNCS = 20
_BORN = datetime(2026, 11, 1, tzinfo=UTC)
_SLOW_SYNC_MS = 50.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing examined. `good` None: works, but should be looked at."""

    name: str
    good: bool | None
    what: str
    remedy: str = ""


def examine(directory: Path, clock: Clock) -> Iterator[Finding]:
    """Examine the machine and the data directory; write nothing that stays."""
    yield _sqlite()
    yield _clock(clock)
    yield _directory(directory)
    yield _space(directory)
    yield _speed(directory, clock)
    yield _certificates()
    yield _names()
    yield _pings()
    for database in (directory / FILE, directory / "watch" / FILE):
        if database.exists():
            yield heartbeat(database, clock)


def heartbeat(database: Path, clock: Clock) -> Finding:
    """Say when the service on this database last proved that work gets done."""
    if not database.exists():
        return Finding("heartbeat", False, f"{database} cannot be read: no service has run there yet.", "Start it.")
    try:
        # A reader may not delete what it had to make for itself beside a database that nobody has open.
        how = "mode=ro" if database.with_name(f"{database.name}-wal").exists() else "mode=ro&immutable=1"
        connection = sqlite3.connect(f"{database.absolute().as_uri()}?{how}", uri=True, timeout=5)
        try:
            row = connection.execute("SELECT max(seen_at) FROM source_mark").fetchone()
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        return Finding("heartbeat", False, f"{database} cannot be read: {error}.", "Start the service and look again.")
    if row is None or row[0] is None:
        return Finding("heartbeat", False, f"no service has run on {database} yet.", "Start it.")
    age = clock.now().timestamp() - row[0] / 1000
    if age > STALE.total_seconds():
        return Finding("heartbeat", False, f"the last one in {database} is {age:.0f} s old.", "Start the service.")
    return Finding("heartbeat", True, f"{max(age, 0):.0f} s ago in {database}")


def _sqlite() -> Finding:
    version = sqlite3.sqlite_version_info
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51, 0)
    if fixed:
        return Finding("SQLite", True, sqlite3.sqlite_version)
    return Finding(
        "SQLite",
        None,
        f"{sqlite3.sqlite_version} can lose commits when two programs write one file at the same instant.",
        "laya-uptime itself writes through one connection only; let no other program write its database, "
        "or use a Python with SQLite 3.51.3 or newer.",
    )


def _clock(clock: Clock) -> Finding:
    at = clock.now()
    if at < _BORN:
        what = f"it says {at:%Y-%m-%d}, which is before this program was made."
        return Finding("clock", False, what, "Set it: timedatectl set-ntp true")
    if Path("/run/systemd/timesync/synchronized").exists() or not Path("/run/systemd/timesync").exists():
        return Finding("clock", True, f"{at:%Y-%m-%d %H:%M:%S} UTC")
    return Finding("clock", None, "it has not been set by the network yet.", "Look at: timedatectl timesync-status")


def _directory(directory: Path) -> Finding:
    place = _nearest(directory)
    if not os.access(place, os.W_OK | os.X_OK):
        remedy = "Set LAYA_UPTIME_DATA to a directory that can be written."
        return Finding("data directory", False, f"{directory} cannot be written.", remedy)
    mode = directory.stat().st_mode & 0o777 if directory.exists() else 0o700
    if mode & 0o077:
        return Finding("data directory", None, f"others may look into {directory}.", f"chmod 700 {directory}")
    return Finding("data directory", True, str(directory))


def _space(directory: Path) -> Finding:
    free = shutil.disk_usage(_nearest(directory)).free
    if free > _LOW:
        return Finding("disk", True, f"{free / 1e9:.1f} GB free")
    what = f"only {free / 1e6:.0f} MB are free."
    return Finding("disk", False, what, "Make room: history needs about 0.4 MB a day for three monitors.")


def _speed(directory: Path, clock: Clock) -> Finding:
    try:
        with tempfile.NamedTemporaryFile(dir=_nearest(directory)) as file:
            began = clock.monotonic()
            for _ in range(_SYNCS):
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
            each = (clock.monotonic() - began) / _SYNCS * 1000
    except OSError as error:
        return Finding("write speed", False, f"cannot write: {error.strerror}.", "Mend the disk or choose another.")
    if each < _SLOW_SYNC_MS:
        return Finding("write speed", True, f"{each:.1f} ms for a durable write")
    what = f"a durable write takes {each:.0f} ms."
    return Finding("write speed", None, what, "Checks go on meanwhile; history is written later.")


def _certificates() -> Finding:
    known = len(ssl.create_default_context().get_ca_certs())
    if known or ssl.get_default_verify_paths().capath:
        return Finding("certificates", True, f"{known} authorities are trusted")
    return Finding("certificates", False, "no authority is trusted.", "Install the package ca-certificates.")


def _names() -> Finding:
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}
    except OSError as error:
        return Finding("names", False, f"localhost does not resolve: {error.strerror}.", "Look at /etc/hosts.")
    return Finding("names", True, f"localhost is {', '.join(sorted(found))}")


def _pings() -> Finding:
    why = why_not()
    if why is None:
        return Finding("pings", True, "may be sent")
    remedy = "Until then checks of type ping are unknown; nothing else needs it."
    return Finding("pings", None, f"{why}.", remedy)


def _nearest(path: Path) -> Path:
    """Return the closest directory that exists already."""
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path

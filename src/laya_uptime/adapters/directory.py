"""The data directory: made private, and held by one process at a time."""

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType

from laya_uptime.errors import DataDirectoryError


class DataDirectory:
    """Use it as a context: inside, this process alone owns the directory. The lock ends with the process, however."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def __enter__(self) -> Path:
        """Return the path. Raise DataDirectoryError where another process holds it or it cannot be written."""
        try:
            _make(self.path)
            self._descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataDirectoryError(
                f"the data directory {self.path} cannot be written: {error.strerror}. "
                "Set LAYA_UPTIME_DATA to a directory that can"
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise DataDirectoryError(
                f"the data directory {self.path} is in use by process {holder}. "
                "Stop that one, or set LAYA_UPTIME_DATA to another directory"
            ) from error
        except OSError as error:
            os.close(self._descriptor)
            raise DataDirectoryError(f"the data directory {self.path} cannot be locked: {error.strerror}") from error
        with contextlib.suppress(OSError):  # the lock holds without the number, on a full disk too
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The file stays: removing it would let two processes hold locks on two files of one name.
        os.close(self._descriptor)


def _make(path: Path) -> None:
    """Make the directory, and those above it that are missing, private whatever the umask is."""
    if not path.is_dir():
        _make(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)

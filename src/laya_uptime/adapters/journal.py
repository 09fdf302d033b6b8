"""Where log lines go: the console and a file that rotates by size.

Each has a thread of its own that writes, so a terminal that is paused or a disk that hangs delays no check, nor the
other, nor the end of the process. When one falls too far behind, its lines are dropped and counted rather than kept
in memory without end.
"""

import contextlib
import json
import logging
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self, TextIO

NAME = "laya_uptime"
FORMAT = "%(asctime)s - %(levelname)s - %(message)s"
DATES = "%Y-%m-%d %H:%M:%S"
MAX_SIZE = 10_000_000  # bytes
KEEP = 5
_MOST_WAITING = 10_000
_LAST_WORDS = 2.0  # seconds that the end of the process may wait for the last lines
_PLAIN = "plain"


class _Formatter(logging.Formatter):
    """SEED's format. A line break inside a line never starts a second event; reports are written as they stand."""

    def __init__(self, fmt: str, datefmt: str) -> None:
        super().__init__(fmt, datefmt)
        self._latest = (-1, "")  # a second, and that in words, which all its lines share

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  logging's name
        second, shown = self._latest
        if second != int(record.created):
            shown = super().formatTime(record, datefmt)
            self._latest = (int(record.created), shown)  # in one piece: several threads may come here at once
        return shown

    def format(self, record: logging.LogRecord) -> str:
        if getattr(record, _PLAIN, False):
            return record.getMessage()
        return super().format(record).replace("\r", "\\r").replace("\n", "\\n")


class _JsonFormatter(logging.Formatter):
    """One JSON object a line; `time` is ISO 8601 with its offset. In ASCII, which is JSON in every encoding."""

    def format(self, record: logging.LogRecord) -> str:
        time = self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z")
        return json.dumps({"time": time, "level": record.levelname, "message": record.getMessage()})


class _Sink(Protocol):
    """Where an outlet writes. Only the outlet's thread calls it."""

    def write(self, line: str) -> None:
        """Write a line, its break not included. Raise OSError where that is not possible now."""
        ...


class _Console:
    """Standard output, past Python's own buffer: at exit Python waits for that, for ever if nobody reads."""

    def __init__(self, stream: TextIO) -> None:
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding or "utf-8"

    def write(self, line: str) -> None:
        """Write the line. A sign that the terminal cannot show is escaped, never an exception."""
        data = f"{line}\n".encode(self._encoding, "backslashreplace")
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # somebody else on this terminal made it so
                select.select([], [self._descriptor], [])


class _Stream:
    """Standard output that is no file, as under a test."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        """Write the line."""
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(f"{line}\n".encode(encoding, "backslashreplace").decode(encoding))
        self._stream.flush()


class _PrivateFile:
    """A file that only its owner may read. At `max_size` bytes it becomes NAME.1, that one NAME.2, up to `keep`."""

    def __init__(self, path: Path, max_size: int, keep: int) -> None:
        self._path = path
        self._max_size = max_size
        self._keep = keep
        self._descriptor: int | None = self._open()

    def write(self, line: str) -> None:
        """Write the line whole or not at all, on a full disk too."""
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        descriptor = self._with_room_for(len(data))
        size, written = os.fstat(descriptor).st_size, 0
        try:
            while written < len(data):
                written += os.write(descriptor, data[written:])
        except OSError:
            if written and os.fstat(descriptor).st_size == size + written:
                os.ftruncate(descriptor, size)  # half a line would run into the next one
            raise

    def _with_room_for(self, length: int) -> int:
        if self._descriptor is not None and self._max_size:
            size = os.fstat(self._descriptor).st_size
            if size and size + length > self._max_size:
                # In a directory that others own the file can only grow; that is better than no lines at all.
                with contextlib.suppress(PermissionError):
                    self._rotate(self._descriptor)
        if self._descriptor is None:
            self._descriptor = self._open()
        return self._descriptor

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _rotate(self, descriptor: int) -> None:
        for number in range(self._keep, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)
        if not self._keep:
            os.ftruncate(descriptor, 0)
        self._descriptor = None
        os.close(descriptor)


class _Outlet:
    """A sink and the thread that writes to it."""

    def __init__(self, sink: _Sink, *, note: Callable[[int], str]) -> None:
        self.lost = 0
        self._untold = 0
        self._sink = sink
        self._note = note  # the line that tells how many were lost
        self._lines: deque[str] = deque()
        self._news = threading.Condition()
        self._ends = False
        self._thread = threading.Thread(target=self._run, name="laya-uptime-journal", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, line: str) -> None:
        """Queue a line, or count it as lost."""
        with self._news:
            if len(self._lines) < _MOST_WAITING:
                self._lines.append(line)
                self._news.notify()
            else:
                self.lost += 1
                self._untold += 1

    def end(self) -> None:
        """Write what is queued, then end."""
        with self._news:
            self._ends = True
            self._news.notify()

    def wait(self, seconds: float) -> None:
        """Wait for the end, but not longer than this."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while (line := self._next()) is not None:
            # A full disk loses lines; it must not fill the terminal with tracebacks.
            with contextlib.suppress(OSError, ValueError):
                self._sink.write(line)

    def _next(self) -> str | None:
        with self._news:
            while not self._lines:
                if self._untold:
                    lost, self._untold = self._untold, 0
                    return self._note(lost)
                if self._ends:
                    return None
                self._news.wait()
            return self._lines.popleft()


class Journal(logging.Handler):
    """The handler in front of the threads. Use it as a context: lines written inside are out when it ends."""

    def __init__(self, *, file: Path | None, as_json: bool = False, max_size: int = MAX_SIZE, keep: int = KEEP) -> None:
        super().__init__()
        self.warning: str | None = None  # why there is no file although one was wanted
        self.setFormatter(_JsonFormatter() if as_json else _Formatter(FORMAT, DATES))
        sinks: list[_Sink] = []
        if sys.stdout is not None:  # None: it was closed before the start
            sinks.append(_console(sys.stdout))
        if file is not None:
            try:
                sinks.append(_PrivateFile(file, max_size, keep))
            except OSError as error:
                self.warning = f"The log file {file} cannot be written ({error.strerror}); logging to the console only"
        self._outlets = [_Outlet(sink, note=self._note) for sink in sinks]

    @property
    def dropped(self) -> int:
        """Return how many lines were lost, on the console and in the file together."""
        return sum(outlet.lost for outlet in self._outlets)

    def __enter__(self) -> Self:
        for outlet in self._outlets:
            outlet.start()
        log = logging.getLogger(NAME)
        log.handlers = [self]
        log.setLevel(logging.INFO)
        log.propagate = False
        if self.warning is not None:
            log.warning("%s", self.warning)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger(NAME).handlers = []
        for outlet in self._outlets:
            outlet.end()
        for outlet in self._outlets:
            outlet.wait(_LAST_WORDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  a line that cannot be made must not stop what it tells of
            self.handleError(record)
            return
        for outlet in self._outlets:
            outlet.put(line)

    def _note(self, lost: int) -> str:
        text = f"{lost} log lines were lost because they could not be written in time"
        return self.format(logging.LogRecord(NAME, logging.WARNING, "", 0, text, None, None))


def say(text: str) -> None:
    """Write one INFO line."""
    logging.getLogger(NAME).info("%s", text)


def write_block(text: str) -> None:
    """Write several lines as they stand, without time and level."""
    logging.getLogger(NAME).info("%s", text, extra={_PLAIN: True})


def _console(stream: TextIO) -> _Sink:
    try:
        stream.flush()
        return _Console(stream)
    except (OSError, ValueError):
        return _Stream(stream)

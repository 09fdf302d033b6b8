"""Where log lines go: the console and a file that rotates by size.

A thread of its own writes them, so a terminal that is paused or a disk that hangs delays no check. When it falls
too far behind, lines are dropped and counted rather than kept in memory without end.
"""

import contextlib
import json
import logging
import os
import queue
import sys
import threading
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Self, TextIO

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

    def format(self, record: logging.LogRecord) -> str:
        if getattr(record, _PLAIN, False):
            return record.getMessage()
        return super().format(record).replace("\r", "\\r").replace("\n", "\\n")


class _JsonFormatter(logging.Formatter):
    """One JSON object a line; `time` is ISO 8601 with its offset."""

    def format(self, record: logging.LogRecord) -> str:
        time = self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z")
        return json.dumps({"time": time, "level": record.levelname, "message": record.getMessage()}, ensure_ascii=False)


class _PrivateFile(RotatingFileHandler):
    """A rotating file that only its owner may read."""

    def _open(self) -> TextIO:  # type: ignore[override]  # a text file is what open() gives here
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's own name
        """Lose the line: a full disk must not fill the terminal with tracebacks."""


class _Console(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's own name
        """Lose the line: whoever read it has gone away."""


class Journal(logging.Handler):
    """The handler in front of the thread. Use it as a context: lines written inside are out when it ends."""

    def __init__(self, *, file: Path | None, as_json: bool = False, max_size: int = MAX_SIZE, keep: int = KEEP) -> None:
        super().__init__()
        self.dropped = 0
        self.warning: str | None = None  # why there is no file although one was wanted
        formatter = _JsonFormatter() if as_json else _Formatter(FORMAT, DATES)
        with contextlib.suppress(AttributeError, ValueError):
            # A terminal that cannot show a sign gets it escaped, never an exception.
            sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        self._sinks: list[logging.Handler] = [_Console(sys.stdout)]
        if file is not None:
            try:
                self._sinks.append(_PrivateFile(file, maxBytes=max_size, backupCount=keep, encoding="utf-8"))
            except OSError as error:
                self.warning = f"The log file {file} cannot be written ({error.strerror}); logging to the console only"
        for sink in self._sinks:
            sink.setFormatter(formatter)
        self._queue: queue.Queue[logging.LogRecord | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._write, name="laya-uptime-journal", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        log = logging.getLogger(NAME)
        log.handlers = [self]
        log.setLevel(logging.INFO)
        log.propagate = False
        if self.warning is not None:
            log.warning("%s", self.warning)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger(NAME).handlers = []
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=_LAST_WORDS)
            self._thread.join(_LAST_WORDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line."""
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def _write(self) -> None:
        while (record := self._queue.get()) is not None:
            for sink in self._sinks:
                sink.handle(record)
            if self.dropped and self._queue.empty():
                lost, self.dropped = self.dropped, 0
                note = f"{lost} log lines were lost because they could not be written in time"
                self.emit(logging.LogRecord(NAME, logging.WARNING, "", 0, note, None, None))


def say(text: str) -> None:
    """Write one INFO line."""
    logging.getLogger(NAME).info("%s", text)


def write_block(text: str) -> None:
    """Write several lines as they stand, without time and level."""
    logging.getLogger(NAME).info("%s", text, extra={_PLAIN: True})

"""The program as people meet it: a process with words, variables and a directory, whose lines can be waited for.

    with Installation(tmp_path) as laya:
        laya.environment |= services.environment()
        watching = laya.start("watch", "--interval", "1")
        watching.wait_for("✗ AI Service: Connection failed - Connection refused")
        assert watching.end(signal.SIGINT) == 0

Nothing of the machine's own configuration reaches it: home, data and working directory lie under the directory given.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

LINE = re.compile(r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) - (?P<level>INFO|WARNING|ERROR) - (?P<message>.*)")
PATIENCE = 30.0  # seconds for what must come; only a failing test ever waits so long
_KEPT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT", "TMPDIR", "VIRTUAL_ENV")
Take = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of output. `seen_at` is the monotonic instant at which it was read."""

    seen_at: float
    text: str

    @property
    def message(self) -> str | None:
        """Return the message of a log line, None where this is none."""
        found = LINE.fullmatch(self.text)
        return found["message"] if found else None

    @property
    def level(self) -> str | None:
        """Return the level of a log line, None where this is none."""
        found = LINE.fullmatch(self.text)
        return found["level"] if found else None

    @property
    def at(self) -> datetime | None:
        """Return the local time that a log line shows, naive as it is written; None where this is none."""
        found = LINE.fullmatch(self.text)
        return datetime.fromisoformat(found["at"]) if found else None


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Line]:
        """Return what it wrote to standard output; when each line came is not known and stands as 0."""
        return [Line(0.0, text) for text in self.out.splitlines()]

    @property
    def messages(self) -> list[str]:
        """Return its log lines as "LEVEL message"."""
        return [f"{line.level} {line.message}" for line in self.lines if line.message is not None]


class Program:
    """A running process."""

    def __init__(self, command: Sequence[str | Path], *, environment: dict[str, str], directory: Path) -> None:
        self.lines: list[Line] = []
        self._errors: list[str] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._open = 2
        self._threads = [
            threading.Thread(target=self._listen, args=(self._process.stdout, self._said), daemon=True),
            threading.Thread(target=self._listen, args=(self._process.stderr, self._errors.append), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Return its number."""
        return self._process.pid

    @property
    def out(self) -> str:
        """Return all of its standard output so far."""
        return "".join(f"{line.text}\n" for line in list(self.lines))

    @property
    def err(self) -> str:
        """Return all of its standard error so far."""
        return "".join(f"{line}\n" for line in list(self._errors))

    @property
    def messages(self) -> list[str]:
        """Return its log lines so far as "LEVEL message"."""
        return [f"{line.level} {line.message}" for line in list(self.lines) if line.message is not None]

    def wait_for(self, pattern: str, *, times: int = 1, after: int = 0, seconds: float = PATIENCE) -> re.Match[str]:
        """Wait until the pattern is found in so many lines, of those from number `after` on; return the last match.

        Raise AssertionError, with all that was written, where they do not come or the process ends before.
        """
        give_up = time.monotonic() + seconds
        with self._news:
            while True:
                found = list(self._matches(pattern, after))
                if len(found) >= times:
                    return found[times - 1]
                if not self._open or not self._news.wait(max(give_up - time.monotonic(), 0)):
                    if self._open and time.monotonic() < give_up:
                        continue
                    raise AssertionError(f"{pattern!r} came {len(found)} of {times} times in:\n{self.out}{self.err}")

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait for its end and return the exit code, minus the number of the signal that killed it."""
        code = self._process.wait(seconds)
        for thread in self._threads:
            thread.join(seconds)
        return code

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal and wait for its end."""
        self.tell(number)
        return self.wait()

    def close(self) -> None:
        """Kill it where it still runs."""
        self._process.kill()
        self.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _matches(self, pattern: str, after: int) -> Iterator[re.Match[str]]:
        for line in self.lines[after:]:
            if (found := re.search(pattern, line.text)) is not None:
                yield found

    def _listen(self, pipe: IO[str], take: "Take") -> None:
        for text in pipe:
            with self._news:
                take(text.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._open -= 1
            self._news.notify_all()

    def _said(self, text: str) -> None:
        self.lines.append(Line(time.monotonic(), text))


class Installation:
    """Where the program runs: a directory and an environment of its own. Leaving the context kills what still runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.command: Sequence[str | Path] = (sys.executable, "-m", "laya_uptime")
        self.data = directory / "data"
        self.log = directory / "watch.log"
        self.home = directory / "home"
        self.home.mkdir(exist_ok=True)
        self.environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {
            "HOME": str(self.home),
            "LAYA_UPTIME_DATA": str(self.data),
            "LC_ALL": "C.UTF-8",
        }
        self._programs: list[Program] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for program in self._programs:
            program.close()

    def start(self, *words: str | Path, command: Sequence[str | Path] = (), **variables: str) -> Program:
        """Start it with these words and further variables; `command` takes the place of the module."""
        program = Program(
            [*(command or self.command), *words], environment=self.environment | variables, directory=self.directory
        )
        self._programs.append(program)
        return program

    def run(self, *words: str | Path, command: Sequence[str | Path] = (), **variables: str) -> Ended:
        """Run it to its end."""
        program = self.start(*words, command=command, **variables)
        code = program.wait(2 * PATIENCE)
        return Ended(code, program.out, program.err)

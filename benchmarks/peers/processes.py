"""Child processes of a benchmark: pinned to a core, charged by the kernel's own count, and gone when the benchmark is."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PATIENCE = 60.0  # seconds for a process to say something that is due


def available_cores() -> tuple[int, int]:
    """Return the core of the targets and that of the prober; the same one where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


@contextmanager
def on_cores(*cores: int) -> Iterator[None]:
    """Run on these cores; a process that is started meanwhile stays on them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """Return user plus system time of a process so far, all its threads together, to the nanosecond.

    Linux has a clock for every process, numbered from its pid (clock_getcpuclockid(3)); /proc counts in hundredths.
    """
    return time.clock_gettime((~pid << 3) | 2)


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace"))
    return int(found.group(1)) * 1024 if found else 0


class Child:
    """A process in a session of its own, so that Ctrl-C reaches the benchmark alone, which then ends all of it."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        core: int | Sequence[int],
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
        stderr: int | None = None,
    ) -> None:
        cores = (core,) if isinstance(core, int) else tuple(core)
        with on_cores(*cores):
            self.process = subprocess.Popen(
                command,
                env=os.environ | dict(env or {}),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def name(self) -> str:
        """Return the command in short: what is run, without its arguments."""
        assert isinstance(self.process.args, list)
        words = [str(word) for word in self.process.args]
        return words[2] if words[1:2] == ["-m"] else Path(words[0]).name

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self, patience: float = PATIENCE) -> str:
        """Return the next line that it writes. Raise SystemExit when it ended or kept silent."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], patience)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            what = "ended" if ready else "says nothing"
            raise SystemExit(f"{self.name} {what}")
        return line.strip()

    def ask(self, line: str, patience: float = PATIENCE) -> dict[str, int]:
        """Send a line and return the JSON document that comes back."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        answer: dict[str, int] = json.loads(self.line(patience))
        return answer

    def stop(self, patience: float = 15.0) -> None:
        """End the process and all that it started; kill what does not go."""
        for sign, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(wait)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


@dataclass(frozen=True)
class Slot:
    """What one engine did in one slot of a round."""

    checks: int
    cpu: float  # seconds, user plus system

    @property
    def us(self) -> float:
        """Return the CPU microseconds of one check."""
        return self.cpu / self.checks * 1e6

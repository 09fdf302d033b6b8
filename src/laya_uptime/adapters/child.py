"""Run a program of the person's own in a process group of its own, and let nothing of it outlive its time.

The group is killed whole when the program has ended and when the caller's patience has, so what it started in the
background goes with it; only what made itself a session of its own escapes. No shell reads the command. Of what it
prints the caps below are kept, and one that prints without end is killed.
"""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Clock

LARGEST_OUTPUT = 64 << 10  # bytes of standard output that are kept
LARGEST_ERROR = 4 << 10  # bytes of standard error that are kept
LARGEST_INPUT = 32 << 10  # bytes; a pipe takes them whole, so writing them never waits
MOST_PRINTED = 8 << 20  # bytes of either that are taken and thrown away before the program is killed
_PIECE = 64 << 10
_MOST_PIECES = 16  # that a pipe can still hold when its program has ended
_LOOK = 0.02  # seconds between two looks, where the system cannot tell of a process's end
_BURIAL = 0.2  # seconds that a killed process gets to die; one that hangs in the kernel is left to it
_PATH = "/usr/local/bin:/usr/bin:/bin"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def environment(extra: Mapping[str, Secret]) -> dict[str, str]:
    """Return all that a program gets to know: PATH, LANG and what the configuration adds."""
    added = {name: value.reveal() for name, value in extra.items()}
    return {"PATH": os.environ.get("PATH", _PATH), "LANG": os.environ.get("LANG", "C.UTF-8"), **added}


def check_environment(extra: Mapping[str, Secret]) -> None:
    """Raise ValueError where a variable cannot be set. The sentence holds no value."""
    for name, value in extra.items():
        if not _VARIABLE.fullmatch(name):
            raise ValueError("`environment` has a name that no variable can have: letters, digits and _ only")
        if "\0" in value.reveal():
            raise ValueError(f"`environment` holds a NUL in {name}")


def name_of(signal_number: int) -> str:
    """Return "SIGSEGV" and the like."""
    try:
        return signal.Signals(signal_number).name
    except ValueError:
        return f"signal {signal_number}"


class Child:
    """One run of one program. What it has printed so far is at hand whichever way the run ends."""

    def __init__(self, command: Sequence[str], *, variables: Mapping[str, str], clock: Clock) -> None:
        """Start nothing yet."""
        self.output = bytearray()
        self.error = bytearray()
        self.is_flood = False  # it was killed because it printed without end
        self._command = command
        self._variables = variables
        self._clock = clock

    async def run(self, given: bytes = b"") -> int:
        """Run it in `/` and return its exit status, negative for the signal that killed it.

        `given` is its standard input. It is killed, with all that it started, when the caller is cancelled. Raise OSError
        where it cannot be started, ValueError where the command or a variable holds a NUL.
        """
        assert len(given) <= LARGEST_INPUT
        process = subprocess.Popen(  # noqa: ASYNC220, S603  started by one quick call, and waited for below
            self._command,
            stdin=subprocess.PIPE if given else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(self._variables),
            cwd="/",
            start_new_session=True,
        )
        try:
            await self._follow(process, given)
        finally:
            _kill(process)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_BURIAL)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()
        return process.returncode

    async def _follow(self, process: "subprocess.Popen[bytes]", given: bytes) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.write(given)
                process.stdin.close()
        flooded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        output = _Tap(process.stdout.fileno(), self.output, LARGEST_OUTPUT, flooded)
        error = _Tap(process.stderr.fileno(), self.error, LARGEST_ERROR, flooded)
        with output, error:
            await _ended(process, flooded, self._clock)
            self.is_flood = flooded.done()
            # Before it is reaped: as long as it is a zombie, nobody else can get the number of its group.
            _kill(process)
            output.drain()
            error.drain()


async def _ended(process: "subprocess.Popen[bytes]", flooded: "asyncio.Future[None]", clock: Clock) -> None:
    """Wait until the process has ended, without reaping it, or has printed too much."""
    if not hasattr(os, "pidfd_open"):
        while not flooded.done() and not _has_ended(process):
            await clock.sleep(_LOOK)
        return
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(process.pid)
    ended: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _settle, ended)
    try:
        await asyncio.wait({ended, flooded}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class _Tap:
    """Takes what comes out of a pipe while it is entered, and keeps the first of it."""

    def __init__(self, descriptor: int, kept: bytearray, limit: int, flooded: "asyncio.Future[None]") -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._kept = kept
        self._limit = limit
        self._flooded = flooded
        self._taken = 0
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> None:
        self._loop.add_reader(self._descriptor, self._take)

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._descriptor)

    def drain(self) -> None:
        """Take what is in the pipe still."""
        for _ in range(_MOST_PIECES):
            if not self._take():
                return

    def _take(self) -> bool:
        """Take one piece, so that others have their turn. Say whether there was any."""
        try:
            data = os.read(self._descriptor, _PIECE)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(self._descriptor)  # an ended pipe is readable for ever
            return False
        self._taken += len(data)
        self._kept += data[: max(self._limit - len(self._kept), 0)]
        if self._taken > MOST_PRINTED:
            _settle(self._flooded)
        return True

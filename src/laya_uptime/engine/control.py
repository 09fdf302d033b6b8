"""The socket beside the data: how a command of the same user speaks with the running process.

`DATA/control.sock` may be used by its owner alone (0600, in a directory of 0700). One line of JSON is asked and one is
answered, then the connection ends. The socket exists while the process runs; one that a dead process left behind is
replaced, which the lock of the directory makes safe.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec

from laya_uptime.domain.heartbeat import Kind
from laya_uptime.engine.heartbeats import Heartbeats
from laya_uptime.errors import LayaUptimeError
from laya_uptime.failpoints import fp

FILE = "control.sock"
LONGEST = 64 * 1024  # bytes of one line
MOST = 64  # connections at once
PATIENCE = 10.0  # seconds for a line to come, or an answer


class Unreachable(LayaUptimeError):
    """No process of ours listens beside this data."""


class Ping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ping", tag_field="verb"):
    """A signal of a job, by the name or id of its heartbeat."""

    monitor: str
    kind: Kind = Kind.SUCCESS
    text: str = ""
    exit_code: int | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it. `problem` is empty where it was taken; `kept` False: it counts until this process ends."""

    kept: bool = False
    problem: str = ""


class Control:
    """The end of the socket that answers."""

    def __init__(self, directory: Path, heartbeats: Heartbeats) -> None:
        self._directory = directory
        self._heartbeats = heartbeats
        self._open = 0

    async def run(self) -> None:
        """Answer until cancelled. Raise OSError where the socket cannot be made."""
        with _bound(self._directory) as listener:
            server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LONGEST)
            try:
                # Not serve_forever: at its end it would wait for connections that may hang.
                await asyncio.get_running_loop().create_future()
            finally:
                server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= MOST:
                async with asyncio.timeout(PATIENCE + PATIENCE):
                    await self._converse(reader, writer)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked has gone, or never asked anything
        finally:
            self._open -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(PATIENCE):
            line = await reader.readuntil(b"\n")
        writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
        await writer.drain()
        fp("heartbeat.replied")

    async def _answer(self, line: bytes) -> Reply:
        try:
            asked = msgspec.json.decode(line, type=Ping)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Reply(problem="this process does not understand the question; is it of another version?")
        names = self._heartbeats.names
        if asked.monitor not in names:
            known = ", ".join(sorted(set(names.values()))) or "none"
            return Reply(problem=f"no heartbeat is called {asked.monitor!r}. Known: {known}")
        monitor_id = names[asked.monitor]
        return Reply(
            kept=await self._heartbeats.hear(monitor_id, asked.kind, text=asked.text, exit_code=asked.exit_code)
        )


def ask(directory: Path, question: Ping) -> Reply:
    """Return what the running process answers. Raise Unreachable where there is none, or it says nothing."""
    try:
        with _named(directory) as name, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(2 * PATIENCE)
            connection.connect(name)
            connection.sendall(msgspec.json.encode(question) + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline(LONGEST)
        return msgspec.json.decode(line, type=Reply)
    except (OSError, msgspec.DecodeError) as error:
        raise Unreachable(
            f"no laya-uptime answers at {directory / FILE}. "
            "Start it (laya-uptime serve), or set LAYA_UPTIME_DATA to the directory that it uses"
        ) from error


@contextlib.contextmanager
def _bound(directory: Path) -> Iterator[socket.socket]:
    """Give the listening socket, which nobody else could open for a moment, and remove it at the end."""
    with _named(directory) as name, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with contextlib.suppress(FileNotFoundError):
            (directory / FILE).unlink()
        with contextlib.suppress(OSError):
            os.fchmod(listener.fileno(), 0o600)  # on Linux the file is made with the rights of its socket
        listener.bind(name)
        (directory / FILE).chmod(0o600)
        listener.setblocking(False)
        try:
            yield listener
        finally:
            with contextlib.suppress(OSError):
                (directory / FILE).unlink()


@contextlib.contextmanager
def _named(directory: Path) -> Iterator[str]:
    """Give a name for the socket that fits: addresses of sockets are short, paths of people are not."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        yield str(directory / FILE)
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"{folder}/{descriptor}/{FILE}"
    finally:
        os.close(descriptor)

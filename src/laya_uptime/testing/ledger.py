"""A ledger sink: a mail server and an HTTP receiver in a process of their own, that write down what they took.

Each message becomes one line of JSON that is on the disk (fsync) before the sender hears an answer, so what a killed
sender really got across can be compared with what it believes. The sink can be told to answer late, twice, with an
error, or not at all.

    with LedgerSink(tmp_path) as sink:
        sink.answer("http", Answer(status=429, retry_after="2"))
        ...                                   # deliver to sink.url("/webhook"), or by SMTP to 127.0.0.1:sink.smtp_port
        [first, second] = sink.entries("webhook")

By hand: `python -m laya_uptime.testing.ledger --dir D [--smtp-port N] [--http-port N]`; it prints its ports as JSON.
Needs aiosmtpd, in the sink's process only.
"""

import argparse
import asyncio
import contextlib
import email
import email.policy
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

FILE = "ledger.jsonl"
_CONTROL = "/.control"
_HEAD = 64 * 1024
_BODY = 32 * 1024 * 1024

Side = Literal["email", "http"]


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the sink says to one message. As it stands: it takes it."""

    status: int = 0  # HTTP status or SMTP reply code; 0: 200 or 250
    delay: float = 0.0  # seconds between the ledger and the answer
    retry_after: str = ""  # the Retry-After header, for HTTP
    twice: bool = False  # say it two times
    reset: bool = False  # reset the connection instead of answering; the message counts as taken if `status` is 2xx

    def code(self, side: Side) -> int:
        """Return the status on the wire."""
        return self.status or (250 if side == "email" else 200)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it was received. None: the message does not say."""

    channel: str  # "email", else the first segment of the path: "webhook", "slack", ...
    received_at: datetime  # UTC
    answer: int  # the status that was to be answered
    path: str  # of the request; empty for mail
    recipients: tuple[str, ...]  # of the envelope; empty for HTTP
    headers: tuple[tuple[str, str], ...]
    raw: bytes  # the mail, or the body of the request
    message_id: str | None = None
    idempotency_key: str | None = None
    dedup_key: str | None = None
    status: str | None = None
    service: str | None = None
    transition: str | None = None
    subject: str | None = None

    @property
    def accepted(self) -> bool:
        """Say whether the sink took the message, though the sender may not have heard of it."""
        return 200 <= self.answer < 300

    @property
    def delivery_id(self) -> str | None:
        """Return the id that is the same at every attempt: an alert's own."""
        if self.message_id is not None:
            return self.message_id.removeprefix("<").partition("@")[0]
        return self.idempotency_key


class LedgerSink:
    """The sink's process, as a test holds it. Start it again on the same ports after `stop` to end an outage."""

    def __init__(self, directory: Path, *, smtp_port: int = 0, http_port: int = 0) -> None:
        """Write into `directory`. Port 0 picks a free one at the first start."""
        self.directory = directory
        self.smtp_port = smtp_port
        self.http_port = http_port
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process and wait until it listens. Raise RuntimeError where it does not."""
        ports = ["--smtp-port", str(self.smtp_port), "--http-port", str(self.http_port)]
        command = [
            sys.executable,
            "-m",
            "laya_uptime.testing.ledger",
            "--dir",
            str(self.directory),
            *ports,
            "--with-parent",
        ]
        # Failpoints are for the program under test; the sink must survive them.
        environment = {name: value for name, value in os.environ.items() if name != "LAYA_UPTIME_FAILPOINTS"}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._process = process
        assert process.stdout is not None
        ready = process.stdout.readline()
        if not ready:
            self.stop()
            raise RuntimeError("the ledger sink did not start")
        ports_read = json.loads(ready)
        self.smtp_port, self.http_port = ports_read["smtp_port"], ports_read["http_port"]

    def stop(self) -> None:
        """End the process. What it has written stays."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        process.wait(timeout=10)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def url(self, path: str = "/webhook") -> str:
        """Return the address to post to; the first segment of the path names the channel in the ledger."""
        return f"http://127.0.0.1:{self.http_port}{path}"

    def answer(self, side: Side, *answers: Answer) -> None:
        """Answer the next messages so, one each; then as before."""
        self._tell({"side": side, "next": answers})

    def answer_always(self, side: Side, answer: Answer) -> None:
        """Answer every message so, until told otherwise, once those of `answer` are used up."""
        self._tell({"side": side, "always": answer})

    def entries(self, channel: str | None = None) -> list[Entry]:
        """Return what was received, oldest first; only of this channel where one is named."""
        file = self.directory / FILE
        lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
        # A line without its end is being written at this very moment.
        found = [msgspec.json.decode(line, type=Entry) for line in lines if line.endswith(b"\n")]
        return [entry for entry in found if channel in {None, entry.channel}]

    def wait_for(self, count: int, *, channel: str | None = None, seconds: float = 10.0) -> list[Entry]:
        """Wait, blocking, until that many messages have come. Raise TimeoutError where they do not."""
        give_up = time.monotonic() + seconds
        while len(found := self.entries(channel)) < count:
            if time.monotonic() > give_up:
                message = f"{len(found)} of {count} messages came within {seconds} s"
                raise TimeoutError(message)
            time.sleep(0.01)
        return found

    def _tell(self, order: dict[str, object]) -> None:
        request = urllib.request.Request(self.url(_CONTROL), data=msgspec.json.encode(order), method="POST")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as response:
            response.read()


class _Ledger:
    """The file, and what to answer next. One thread, so one line is written at a time."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = os.open(directory / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._next: dict[str, deque[Answer]] = {"email": deque(), "http": deque()}
        self._always: dict[str, Answer] = {"email": Answer(), "http": Answer()}

    def obey(self, order: bytes) -> None:
        """Take an order of `LedgerSink`."""
        told = msgspec.json.decode(order, type=dict[str, msgspec.Raw])
        side = msgspec.json.decode(told["side"], type=str)
        if "next" in told:
            self._next[side].extend(msgspec.json.decode(told["next"], type=list[Answer]))
        if "always" in told:
            self._always[side] = msgspec.json.decode(told["always"], type=Answer)

    def answer_for(self, side: Side) -> Answer:
        """Return what to answer to this message, and use it up."""
        return self._next[side].popleft() if self._next[side] else self._always[side]

    def write(self, entry: Entry) -> None:
        """Write the entry and wait until the disk has it."""
        os.write(self._file, msgspec.json.encode(entry) + b"\n")
        os.fsync(self._file)


class _Mail:
    """The SMTP side: hooks that aiosmtpd calls."""

    def __init__(self, ledger: _Ledger) -> None:
        self._ledger = ledger

    async def handle_DATA(self, server: Any, session: object, envelope: Any) -> str:  # noqa: ANN401, ARG002, N802  aiosmtpd's
        """Write the message down, then answer as told."""
        answer = self._ledger.answer_for("email")
        code = answer.code("email")
        self._ledger.write(_mail_entry(bytes(envelope.content), tuple(envelope.rcpt_tos), code))
        await _pause(answer.delay)
        if answer.reset:
            _reset(server.transport)
        elif answer.twice:
            await server.push(f"{code} as told")
        return f"{code} as told"


class _Http:
    """The HTTP side: one request per connection."""

    def __init__(self, ledger: _Ledger) -> None:
        self._ledger = ledger

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, write it down, answer as told."""
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            path = head[0].split(" ")[1]
            headers = tuple((name.strip(), value.strip()) for name, _, value in (h.partition(":") for h in head[1:-2]))
            size = int({name.lower(): value for name, value in headers}.get("content-length", "0"))
            body = await reader.readexactly(min(size, _BODY))
            if path == _CONTROL:
                self._ledger.obey(body)
                await _say(writer, Answer())
            else:
                await self._receive(path, headers, body, writer)
        writer.close()

    async def _receive(
        self, path: str, headers: tuple[tuple[str, str], ...], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        answer = self._ledger.answer_for("http")
        self._ledger.write(_http_entry(path, headers, body, answer.code("http")))
        await _pause(answer.delay)
        if answer.reset:
            _reset(writer.transport)
            return
        for _ in range(2 if answer.twice else 1):
            await _say(writer, answer)


async def _say(writer: asyncio.StreamWriter, answer: Answer) -> None:
    wait = f"Retry-After: {answer.retry_after}\r\n" if answer.retry_after else ""
    code = answer.code("http")
    writer.write(f"HTTP/1.1 {code} as told\r\n{wait}Content-Length: 2\r\nConnection: close\r\n\r\nok".encode())
    await writer.drain()


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds)  # noqa: TID251  the sink is part of the world, where time is real


def _reset(transport: asyncio.WriteTransport) -> None:
    """Close with a TCP reset: lingering for zero seconds throws away what is unsent."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  likewise: a witness has its own watch


def _mail_entry(raw: bytes, recipients: tuple[str, ...], code: int) -> Entry:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    headers = tuple((name, str(value)) for name, value in message.items())
    found = {name.lower(): value for name, value in headers}
    return Entry(
        channel="email",
        received_at=_now(),
        answer=code,
        path="",
        recipients=recipients,
        headers=headers,
        raw=raw,
        message_id=found.get("message-id"),
        dedup_key=found.get("x-laya-dedup-key"),
        status=found.get("x-laya-status"),
        service=found.get("x-laya-service"),
        transition=found.get("x-laya-transition"),
        subject=found.get("subject"),
    )


def _http_entry(path: str, headers: tuple[tuple[str, str], ...], body: bytes, code: int) -> Entry:
    found = {name.lower(): value for name, value in headers}
    said = _document(body)
    event = said.get("payload")
    event = event if isinstance(event, dict) else {}
    return Entry(
        channel=path.partition("?")[0].strip("/").partition("/")[0] or "webhook",
        received_at=_now(),
        answer=code,
        path=path,
        recipients=(),
        headers=headers,
        raw=body,
        idempotency_key=found.get("idempotency-key"),
        dedup_key=_text(said, "dedup_key"),
        status=_text(said, "status") or _text(said, "event_action"),
        service=_text(said, "service") or _text(event, "component"),
        transition=_text(said, "transition"),
        subject=_text(said, "message") or _text(said, "text") or _text(said, "content") or _text(event, "summary"),
    )


def _document(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _text(document: dict[str, Any], key: str) -> str | None:
    value = document.get(key)
    return value if isinstance(value, str) else None


async def _serve(directory: Path, smtp_port: int, http_port: int, *, with_parent: bool) -> None:
    from aiosmtpd.smtp import SMTP  # noqa: PLC0415  only the sink's own process needs it

    loop = asyncio.get_running_loop()
    ledger = _Ledger(directory)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_parent:
        threading.Thread(target=_wait_for_parent, args=(loop, stop), daemon=True).start()
    mail = await loop.create_server(
        lambda: SMTP(_Mail(ledger), hostname="ledger.test", enable_SMTPUTF8=True, loop=loop), "127.0.0.1", smtp_port
    )
    http = await asyncio.start_server(_Http(ledger).serve, "127.0.0.1", http_port, limit=_HEAD)
    async with mail, http:
        ports = {"smtp_port": mail.sockets[0].getsockname()[1], "http_port": http.sockets[0].getsockname()[1]}
        print(json.dumps(ports), flush=True)
        await stop.wait()
        # Connections that hang in a late answer end with the process.
        os._exit(0)


def _wait_for_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """End the sink when whoever started it is gone: its end of our standard input closes with it."""
    sys.stdin.buffer.read()
    loop.call_soon_threadsafe(stop.set)


def main() -> None:
    """Run the sink until it is told to end."""
    parser = argparse.ArgumentParser(prog="python -m laya_uptime.testing.ledger", description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True, help="where ledger.jsonl is written")
    parser.add_argument("--smtp-port", type=int, default=0)
    parser.add_argument("--http-port", type=int, default=0)
    parser.add_argument("--with-parent", action="store_true", help="end when standard input closes")
    chosen = parser.parse_args()
    asyncio.run(_serve(chosen.dir, chosen.smtp_port, chosen.http_port, with_parent=chosen.with_parent))


if __name__ == "__main__":
    main()

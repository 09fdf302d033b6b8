"""A truth target: the three services of the drop-in face as real web servers, and the record of how they really were.

Each listens on a loopback port of its own and is in the state that a test puts it in. Every change of state and every
request is noted with its instant, in memory and, where a file is named, as lines of JSON: what a monitor says
afterwards can be held against what was so.

    with TruthTarget() as target:
        ...                                             # start the monitor with target.environment()
        target.put("gibbon-cms", State.REFUSED)
        target.wait_for_rounds(4, apart_from="gibbon-cms")
        target.put("gibbon-cms", State.UP)
        [outage] = target.outages()

A service that refuses keeps its port: the port stays bound, and only nobody listens on it.
"""

import asyncio
import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from io import BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_HEAD = 64 * 1024
_PATIENCE = 30.0  # seconds for a request to be whole


class State(StrEnum):
    """How a service is. Everything but up and degraded is an outage."""

    UP = "up"
    DEGRADED = "degraded"  # 200, and it says so itself
    UNHEALTHY = "unhealthy"  # 200, and it says so itself
    ERROR = "error"  # 500
    REFUSED = "refused"  # nobody listens

    @property
    def is_down(self) -> bool:
        """Say whether a monitor has to report this as an outage."""
        return self not in {State.UP, State.DEGRADED}


OUTAGES = (State.REFUSED, State.ERROR, State.UNHEALTHY)


@dataclass(frozen=True, slots=True)
class Service:
    """One of the three: its monitor's id and name, and the variable that holds its address."""

    id: str
    name: str
    variable: str


SERVICES = (
    Service("ai-service", "AI Service", "AI_SERVICE_URL"),
    Service("gibbon-cms", "Gibbon CMS", "GIBBON_URL"),
    Service("parent-portal", "Parent Portal", "PARENT_PORTAL_URL"),
)


@dataclass(frozen=True, slots=True)
class Edge:
    """From this instant on the service was in this state."""

    service: str
    state: State
    at: datetime  # UTC


@dataclass(frozen=True, slots=True)
class Look:
    """A request that reached the service, and the state that it was answered in."""

    service: str
    state: State
    at: datetime  # UTC


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch in which a service was down. `ended` None: it still is."""

    service: str
    state: State
    began: datetime
    ended: datetime | None


class TruthTarget:
    """The servers, in a thread of their own. Leaving the context ends them; the record stays."""

    def __init__(self, *, log: Path | None = None) -> None:
        """Note every change and request in `log` too, where it is given."""
        self.edges: list[Edge] = []
        self.looks: list[Look] = []
        self._log = log
        self._file: BufferedWriter | None = None
        self._states: dict[str, State] = {}
        self._places: dict[str, socket.socket] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="truth-target", daemon=True)

    def __enter__(self) -> Self:
        if self._log is not None:
            self._file = self._log.open("ab")
        self._thread.start()
        for service in SERVICES:
            self._places[service.id] = _bound(0)
            self.put(service.id, State.UP)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for place in self._places.values():
            place.close()
        if self._file is not None:
            self._file.close()

    def environment(self) -> dict[str, str]:
        """Return the variables that tell the monitor where the services are."""
        ports = {service: place.getsockname()[1] for service, place in self._places.items()}
        return {service.variable: f"http://127.0.0.1:{ports[service.id]}" for service in SERVICES}

    def put(self, service: str, state: State) -> None:
        """Put a service in this state. It is so when this returns, and the edge is noted."""
        self._do(lambda: self._put(service, state))

    def outages(self) -> list[Outage]:
        """Return what really was down, oldest first. A change from one kind of down to another is the same outage."""
        found: list[Outage] = []
        for service in SERVICES:
            began: Edge | None = None
            for edge in [edge for edge in self.edges if edge.service == service.id]:
                if edge.state.is_down and began is None:
                    began = edge
                elif not edge.state.is_down and began is not None:
                    found.append(Outage(service.id, began.state, began.at, edge.at))
                    began = None
            if began is not None:
                found.append(Outage(service.id, began.state, began.at, None))
        return sorted(found, key=lambda outage: outage.began)

    def rounds(self, *, since: datetime, apart_from: str = "") -> int:
        """Return how many rounds have reached every service since then; a refusing one cannot tell and is left out."""
        counts = {service.id: 0 for service in SERVICES if service.id != apart_from}
        for look in list(self.looks):
            if look.at >= since and look.service in counts:
                counts[look.service] += 1
        return min(counts.values())

    def wait_for_rounds(self, count: int, *, apart_from: str = "", seconds: float = 30.0) -> None:
        """Wait, blocking, for that many rounds from now on. Raise TimeoutError where they do not come."""
        since, give_up = now(), time.monotonic() + seconds
        while (seen := self.rounds(since=since, apart_from=apart_from)) < count:
            if time.monotonic() > give_up:
                message = f"{seen} of {count} rounds came within {seconds:g} s"
                raise TimeoutError(message)
            time.sleep(0.01)

    def _do(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(timeout=10)

    # Everything below runs in the thread of the servers.

    async def _put(self, service: str, state: State) -> None:
        server = self._servers.get(service)
        if state is State.REFUSED:
            if server is not None:
                del self._servers[service]
                server.close()
        elif server is None:
            listener = _bound(self._places[service].getsockname()[1])
            self._servers[service] = await asyncio.start_server(
                lambda reader, writer: self._serve(service, reader, writer), sock=listener, limit=_HEAD
            )
        self._states[service] = state
        edge = Edge(service, state, now())
        self.edges.append(edge)
        self._note("state", service, state, edge.at)

    async def _serve(self, service: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await reader.readuntil(b"\r\n\r\n")
            look = Look(service, self._states[service], now())
            self.looks.append(look)
            self._note("look", service, look.state, look.at)
            writer.write(_answer(look.state))
            await writer.drain()
        writer.close()

    async def _end(self) -> None:
        for server in self._servers.values():
            server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def _note(self, what: str, service: str, state: State, at: datetime) -> None:
        if self._file is not None:
            line = {"what": what, "service": service, "state": state, "at": at.isoformat()}
            self._file.write(json.dumps(line).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())


def now() -> datetime:
    """Return the wall-clock time, UTC: a witness has its own watch."""
    return datetime.now(UTC)  # noqa: TID251  the target is part of the world, where time is real


def _bound(port: int) -> socket.socket:
    """Return a socket on this port. Several of ours may share it, so that the port is never anybody else's meanwhile."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _answer(state: State) -> bytes:
    if state is State.ERROR:
        status, kind, body = "500 Internal Server Error", "text/plain", b"it broke"
    else:
        word = "healthy" if state is State.UP else state.value
        status, kind, body = "200 OK", "application/json", json.dumps({"status": word}).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body

"""One question to several servers, until one has answered.

A server that is silent is not given up: after a second the question goes to the next one, then round again with longer
pauses, while whoever was asked may still answer. So a lost datagram costs a second, and a slow server is as good as a
quick one. An error is taken for the answer only when no other server knows better.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from laya_uptime.adapters.net.faults import words
from laya_uptime.adapters.net.names.exchange import over_tcp, over_udp
from laya_uptime.adapters.net.names.message import Malformed, Question, Reply
from laya_uptime.domain.dns import NameServer
from laya_uptime.ports import Clock

T = TypeVar("T")

_FIRST_PAUSE = 1.0  # seconds
_MOST_OPEN = 4  # questions under way at once
_EDNS_ROUNDS = 2  # after these the question goes out plain, for the sake of firewalls that swallow EDNS
_SPOKEN = {0, 3}  # NOERROR and NXDOMAIN: the server knows
_NO_EDNS = {1, 4, 16}  # FORMERR, NOTIMP, BADVERS: RFC 6891 section 7


# Who is told of every question as it goes out, and of what came of it: the server, the question, whether over TCP, and
# None, the reply, or why there is none.
Heard = Callable[[NameServer, Question, bool, Reply | Malformed | OSError | None], None]


class Unanswered(Exception):
    """There is no answer to be had. `error` is the system's, where it was that."""

    def __init__(self, detail: str, error: OSError | None = None) -> None:
        """Say why in plain words."""
        self.detail = detail
        self.error = error
        super().__init__(detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """Whom to ask, and how. Durations are seconds."""

    servers: tuple[NameServer, ...]
    longest_pause: float = 5.0  # until the next server is asked, or the same again
    patience: float | None = None  # until silence is taken for the answer; None: never
    chances: int = 1  # of each server to take back an error
    tcp: bool = False  # from the start
    dnssec: bool = False
    heard: Heard | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """Who answered what, and whether over TCP."""

    server: NameServer
    reply: Reply
    tcp: bool


async def ask(question: Question, manner: Manner, *, clock: Clock) -> Said:
    """Return the first answer that is one, else an error that a server answered. Raise Unanswered where there is neither."""
    return await _Asking(question, manner, clock).go()


class _Asking:
    """The state of one question: who can still be asked, who has not answered yet, who has failed."""

    def __init__(self, question: Question, manner: Manner, clock: Clock) -> None:
        self._question = question
        self._manner = manner
        self._clock = clock
        self._began = clock.monotonic()
        self._turn: deque[NameServer] = deque()
        self._round = 0
        self._left = Counter(dict.fromkeys(manner.servers, manner.chances))
        self._open: dict[asyncio.Task[Said], NameServer] = {}
        self._error: Said | None = None
        self._troubles: list[tuple[NameServer, Malformed | OSError]] = []

    async def go(self) -> Said:
        try:
            while True:
                server, pause = self._next(), self._pause()
                if server is None or pause <= 0:
                    return self._conclude()
                await self._drop(list(self._open)[: len(self._open) + 1 - _MOST_OPEN])
                self._open[asyncio.create_task(self._try(server))] = server
                done, _ = await asyncio.wait(self._open, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    said = self._hear(task, self._open.pop(task))
                    if said is not None:
                        return said
        finally:
            await self._drop(list(self._open))

    def _next(self) -> NameServer | None:
        """Return who is asked next, None where everybody has failed."""
        while True:
            if not self._turn:
                self._turn.extend(server for server in self._manner.servers if self._left[server] > 0)
                self._round += 1
            if not self._turn:
                return None
            server = self._turn.popleft()
            if self._left[server] > 0:
                return server

    def _pause(self) -> float:
        """Return how long to wait for what is under way; not at all where patience has come to its end."""
        pause = min(_FIRST_PAUSE * 2.0 ** min(self._round - 1, 10), self._manner.longest_pause)
        if self._manner.patience is None:
            return pause
        return min(pause, self._began + self._manner.patience - self._clock.monotonic())

    def _hear(self, task: asyncio.Task[Said], server: NameServer) -> Said | None:
        """Return what a server said if it is an answer; remember who failed, and how."""
        trouble = task.exception()
        if trouble is None:
            said = task.result()
            if said.reply.code in _SPOKEN:
                return said
            self._left[server] -= 1
            self._error = self._error or said
        elif isinstance(trouble, Malformed | OSError):
            self._left[server] = 0
            self._troubles.append((server, trouble))
        else:
            raise trouble
        return None

    def _conclude(self) -> Said:
        if self._error is not None:
            return self._error
        # Our own trouble comes first: with it in play, the others prove nothing.
        for server, trouble in sorted(self._troubles, key=lambda each: not _is_ours(each[1])):
            if isinstance(trouble, OSError):
                raise Unanswered(f"name server {server}: {words(trouble)[1]}", trouble)
            raise Unanswered(f"the answer of name server {server} cannot be used: {trouble}")
        names = ", ".join(map(str, self._manner.servers))
        raise Unanswered(f"name server{'s' if len(self._manner.servers) > 1 else ''} {names} did not answer")

    async def _try(self, server: NameServer) -> Said:
        manner = self._manner
        edns = manner.dnssec or self._round <= _EDNS_ROUNDS
        tcp = manner.tcp
        while True:
            reply = await (self._ask if manner.heard is None else self._tell)(server, edns=edns, tcp=tcp)
            if reply.is_truncated:
                tcp = True
            elif edns and reply.code in _NO_EDNS:
                edns = False
            else:
                return Said(server, reply, tcp)

    async def _ask(self, server: NameServer, *, edns: bool, tcp: bool) -> Reply:
        question, dnssec = self._question, self._manner.dnssec
        if tcp:
            return await over_tcp(server, question, edns=edns, dnssec=dnssec)
        return await over_udp(server, question, edns=edns, dnssec=dnssec, clock=self._clock)

    async def _tell(self, server: NameServer, *, edns: bool, tcp: bool) -> Reply:
        """Ask, and tell who wants to hear of it."""
        question, heard = self._question, self._manner.heard
        assert heard is not None
        heard(server, question, tcp, None)
        try:
            reply = await self._ask(server, edns=edns, tcp=tcp)
        except (Malformed, OSError) as trouble:
            heard(server, question, tcp, trouble)
            raise
        heard(server, question, tcp, reply)
        return reply

    async def _drop(self, tasks: list[asyncio.Task[Said]]) -> None:
        """End these tries, and wait until their sockets are closed."""
        for task in tasks:
            del self._open[task]
        await abandon(tasks)


async def abandon(tasks: Collection[asyncio.Task[T]]) -> None:
    """End tasks that nobody needs any more, and wait until they have put everything away."""
    for task in tasks:
        task.cancel()
        task.add_done_callback(_ignore)  # also when this very wait is cancelled
    if tasks:
        await asyncio.wait(tasks)


def _ignore(task: asyncio.Task[T]) -> None:
    """Look at how a task ended, so that nobody complains of an error that does not matter."""
    if not task.cancelled():
        task.exception()


def _is_ours(trouble: Malformed | OSError) -> bool:
    return isinstance(trouble, OSError) and words(trouble)[0].is_ours

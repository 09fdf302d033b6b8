"""Look names up through the system, fresh each time, in threads that nobody has to wait for.

getaddrinfo cannot be interrupted and may hang for half a minute when a name server is away. So it runs in our own daemon
threads: a hanging lookup holds up neither other checks nor the end of the process, as it would in the loop's executor.
The number of threads is bounded, and so is each name's share of them, so that one dead zone leaves room for all others.
"""

import asyncio
import errno
import socket
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

# From a canonical ASCII name to its addresses, best first. Raises OSError (socket.gaierror) when there are none.
Resolver = Callable[[str], Awaitable[tuple[str, ...]]]

_LINGER = 5.0  # seconds that an idle thread waits for more work


def look_up(host: str) -> tuple[str, ...]:
    """Ask the system. Addresses come without duplicates, link-local ones with their zone."""
    # As bytes, so that Python does not apply its own idea of IDNA to a name that is already in A-labels.
    found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return tuple(dict.fromkeys(str(sockaddr[0]) for _, _, _, _, sockaddr in found))


@dataclass(eq=False, slots=True)
class _Lookup:
    host: str
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[tuple[str, ...]]

    def settle(self, found: tuple[str, ...] | OSError) -> None:
        """Hand the outcome to whoever waits, from the thread that found it."""
        try:
            self.loop.call_soon_threadsafe(self._settle, found)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    def _settle(self, found: tuple[str, ...] | OSError) -> None:
        if self.answer.done():
            return
        if isinstance(found, OSError):
            self.answer.set_exception(found)
        else:
            self.answer.set_result(found)


class ThreadResolver:
    """The system's resolver in at most `threads` daemon threads, at most `per_name` of them on one name."""

    def __init__(
        self, *, threads: int = 128, per_name: int = 8, ask: Callable[[str], tuple[str, ...]] = look_up
    ) -> None:
        """Start no thread yet; each starts when it is first needed and ends when it is not."""
        self._threads = threads
        self._per_name = per_name
        self._ask = ask
        self._changed = threading.Condition()
        self._waiting: deque[_Lookup] = deque()
        self._running: Counter[str] = Counter()
        self._started = 0
        self._idle = 0

    async def __call__(self, host: str) -> tuple[str, ...]:
        """Return the addresses of a canonical name, best first. Raise OSError when there are none."""
        loop = asyncio.get_running_loop()
        lookup = _Lookup(host, loop, loop.create_future())
        with self._changed:
            self._waiting.append(lookup)
            start = self._idle < len(self._waiting) and self._started < self._threads
            self._started += start
            self._changed.notify()
        if start:
            try:
                threading.Thread(target=self._work, name="laya-uptime-resolver", daemon=True).start()
            except RuntimeError as error:  # the system gives no more threads
                with self._changed:
                    self._started -= 1
                    lost = self._started == 0 and lookup in self._waiting
                    if lost:
                        self._waiting.remove(lookup)
                if lost:
                    raise OSError(errno.ENOMEM, "no thread for a lookup") from error
        return await lookup.answer

    def _work(self) -> None:
        while (lookup := self._next()) is not None:
            found: tuple[str, ...] | OSError
            try:
                found = self._ask(lookup.host)
            except OSError as error:
                found = error
            except Exception as error:  # noqa: BLE001  a thread that died would leave its caller waiting
                found = OSError(f"lookup failed: {type(error).__name__}")
            with self._changed:
                self._running[lookup.host] -= 1
                if not self._running[lookup.host]:
                    del self._running[lookup.host]
                self._changed.notify_all()  # a name that had its full share may go on
            lookup.settle(found)

    def _next(self) -> _Lookup | None:
        with self._changed:
            while True:
                lookup = self._take()
                if lookup is not None:
                    self._running[lookup.host] += 1
                    return lookup
                self._idle += 1
                woken = self._changed.wait(_LINGER)
                self._idle -= 1
                if not woken and not self._waiting:
                    self._started -= 1
                    return None

    def _take(self) -> _Lookup | None:
        """Return the first lookup that may run now, dropping those whose caller has given up."""
        waiting = self._waiting
        while waiting and waiting[0].answer.cancelled():
            waiting.popleft()
        for place, lookup in enumerate(waiting):
            if self._running[lookup.host] < self._per_name and not lookup.answer.cancelled():
                del waiting[place]
                return lookup
        return None

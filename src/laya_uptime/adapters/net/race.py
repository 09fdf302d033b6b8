"""Connect to the first of several addresses that answers, as RFC 8305 (happy eyeballs) describes.

The next address is tried a quarter of a second after the last, or at once where that one failed; the first that
connects wins and the others are closed. What became of each is kept: of a name with addresses of both families,
people want to know which of them works.
"""

import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from laya_uptime.adapters.net.faults import words
from laya_uptime.adapters.net.sockaddr import SocketAddress, sockaddr
from laya_uptime.domain.egress import Address
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Attempted
from laya_uptime.ports import FAILED, WRITABLE, Clock, Poll

STAGGER = 0.25  # seconds until the next address is tried beside the last, RFC 8305 section 5

# When every address failed, the error that tells most is the one to show. Our own trouble comes first: with it in play,
# the others prove nothing.
_TELLING = (Reason.INTERNAL, Reason.REFUSED, Reason.RESET, Reason.TIMEOUT, Reason.UNREACHABLE)
_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})


@dataclass(frozen=True, slots=True)
class Target:
    """One address and port, in the forms that people and sockets want."""

    family: socket.AddressFamily
    address: str
    place: SocketAddress


def target(address: Address, port: int) -> Target:
    """Return the target. Raise OSError as `sockaddr` does."""
    family, place = sockaddr(address, port)
    return Target(family, str(address), place)


# The C object itself: `socket.socket` wraps it in Python, which costs more than the system call.
_make = cast("Callable[[int, int], socket.socket]", socket.SocketType)
_STREAM = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)


def begin(towards: Target) -> socket.socket:
    """Return a bare socket on its way there, non-blocking. Raise OSError where it fails at once."""
    sock = _make(towards.family, _STREAM)
    try:
        if _STREAM == socket.SOCK_STREAM:
            sock.setblocking(False)
        code = sock.connect_ex(towards.place)
    except OSError:
        sock.close()
        raise
    if code and code not in _UNDER_WAY:
        sock.close()
        raise OSError(code, errno.errorcode.get(code, "unknown"))
    return sock


def without_ipv6(error: OSError, towards: Target) -> OSError:
    """Return what an error of connecting means."""
    if error.errno == errno.EADDRNOTAVAIL and towards.family is socket.AF_INET6:
        # No IPv6 address to come from; for IPv4 the same error means that the local ports are used up.
        return OSError(errno.EAFNOSUPPORT, "no IPv6")
    return error


def most_telling(errors: Sequence[OSError]) -> OSError:
    """Return the error to show where all of these stood in the way."""
    return min(errors, key=_tells)


def _tells(error: OSError) -> tuple[int, bool]:
    reason, _ = words(error)
    return _TELLING.index(reason), error.errno == errno.EAFNOSUPPORT


class Race:
    """The attempts of one connection. `done` is called once: with a socket and its address, or with the error to show.

    The socket that won is still watched by the poll; whoever takes it watches it anew or has it forgotten.
    """

    __slots__ = ("_alarm", "_attempts", "_clock", "_done", "_errors", "_waiting", "attempted", "poll")

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        poll: Poll,
        clock: Clock,
        done: Callable[[socket.socket | None, str, OSError | None], None],
    ) -> None:
        self.attempted: list[Attempted] = []  # those that are over
        self.poll = poll
        self._clock = clock
        self._done: Callable[[socket.socket | None, str, OSError | None], None] | None = done
        self._waiting = list(reversed(targets))
        self._attempts: list[_Attempt] = []
        self._errors: list[OSError] = []
        self._alarm = 0

    def start(self) -> None:
        """Try the first address; `done` may be called before this returns."""
        self._next()

    def cancel(self) -> None:
        """Close what is open and call nobody."""
        self._done = None
        self._leave()

    def _next(self) -> None:
        """Try the next address, and those after it that fail at once."""
        self._alarm = 0
        while self._waiting:
            towards = self._waiting.pop()
            began = self._clock.monotonic()
            try:
                sock = begin(towards)
            except OSError as error:
                self._note(towards, began, without_ipv6(error, towards))
                continue
            attempt = _Attempt(self, sock, towards, began)
            self._attempts.append(attempt)
            self.poll.watch(sock.fileno(), attempt.ready)
            if self._waiting:
                self._alarm = self.poll.alarm(STAGGER, self._next)
            return
        if not self._attempts:
            self._finish(None, "", most_telling(self._errors))

    def lost(self, attempt: "_Attempt", error: OSError) -> None:
        """Note that an address is none to connect to, and go on."""
        self._attempts.remove(attempt)
        self.poll.closing(attempt.sock.fileno())
        attempt.sock.close()
        self._note(attempt.towards, attempt.began, without_ipv6(error, attempt.towards))
        if self._alarm:
            self.poll.silence(self._alarm)
        self._next()

    def won(self, attempt: "_Attempt") -> None:
        """Take this one and close the others."""
        self._attempts.remove(attempt)
        if self.attempted or self._attempts:
            self._note(attempt.towards, attempt.began, None)
        self._leave()
        self._finish(attempt.sock, attempt.towards.address, None)

    def _note(self, towards: Target, began: float, error: OSError | None) -> None:
        if error is not None:
            self._errors.append(error)
        took = timedelta(seconds=self._clock.monotonic() - began)
        cause = "" if error is None else words(error)[1]
        self.attempted.append(Attempted(address=towards.address, took=took, cause=cause))

    def _leave(self) -> None:
        if self._alarm:
            self.poll.silence(self._alarm)
            self._alarm = 0
        for other in self._attempts:
            took = timedelta(seconds=self._clock.monotonic() - other.began)
            self.attempted.append(Attempted(address=other.towards.address, took=took, cause="no answer by then"))
            self.poll.closing(other.sock.fileno())
            other.sock.close()
        self._attempts.clear()
        self._waiting.clear()

    def _finish(self, sock: socket.socket | None, address: str, error: OSError | None) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(sock, address, error)


class _Attempt:
    """One address that is being connected."""

    __slots__ = ("began", "race", "sock", "towards")

    def __init__(self, race: Race, sock: socket.socket, towards: Target, began: float) -> None:
        self.race = race
        self.sock = sock
        self.towards = towards
        self.began = began

    def ready(self, events: int) -> None:
        """Take the news that the attempt is over."""
        if not events & (WRITABLE | FAILED):
            return
        race = self.race
        if (events & FAILED or not race.poll.tells_failure) and (error := failure(self.sock)) is not None:
            race.lost(self, error)
        else:
            race.won(self)


def failure(sock: socket.socket) -> OSError | None:
    """Return why a socket could not be connected; None: it was."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return OSError(code, errno.errorcode.get(code, "unknown")) if code else None

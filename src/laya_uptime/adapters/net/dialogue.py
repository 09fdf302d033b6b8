"""A conversation in steps: send this, expect that, turn to TLS.

What a peer says is read in order: each expectation begins where the last one ended, and waits until its pattern is
found, the peer hangs up, or the caller's deadline ends it. All of a conversation together is read up to 64 KiB, and
what of it was said in confidence by us is dots before anybody sees it.
"""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from laya_uptime.adapters.net.exchange import overdue
from laya_uptime.adapters.net.faults import fault, from_os_error
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.pattern import locator
from laya_uptime.domain.payload import Payload, hide
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Evidence, Failure
from laya_uptime.domain.text import cut, one_line
from laya_uptime.ports import Clock, Connection, Fault

MOST_HEARD = 64 * 1024  # bytes of a whole conversation
_LONGEST_SHOWN = 65536  # characters that are kept as evidence, where bytes take four
_LONGEST_QUOTED = 120  # UTF-16 units of either side in a sentence
_SOME_PIECES = 32
_PAUSE = 0.005  # seconds


@dataclass(frozen=True, slots=True)
class Send:
    """Say this."""

    payload: Payload


@dataclass(frozen=True, slots=True)
class Expect:
    """Wait until the peer has said something that this RE2 pattern finds.

    `unless` finds what dashes the hope at once; `meaning` is for people, where the pattern would tell them little.
    """

    pattern: str
    unless: str | None = None
    meaning: str | None = None


@dataclass(frozen=True, slots=True)
class StartTls:
    """Do the TLS handshake now, and go on inside."""


Step = Send | Expect | StartTls


class Conversation:
    """One conversation as it happens. It outlives the deadline that ends it, and tells what was said until then."""

    def __init__(self, clock: Clock) -> None:
        """Begin with nothing said."""
        self.trail = ExchangeTrail(clock)
        self._clock = clock
        self._heard = b""
        self._place = 0  # what is before it has met an expectation
        self._answer = 0  # where the answer to what was sent last begins
        self._pieces = 0
        self._confidential: set[bytes] = set()
        self._expected: Expect | None = None
        self._unsent: OSError | None = None

    async def hold(
        self, connection: Connection, steps: Sequence[Step], *, start_tls: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Go through all steps; `start_tls` does the one that turns to TLS. Raise `Fault` at the first that cannot be done."""
        for step in steps:
            match step:
                case Send():
                    await self._send(connection, step)
                case Expect():
                    await self._expect(connection, step)
                case StartTls():
                    assert start_tls is not None
                    await self._turn_to_tls(connection, start_tls)
        self.trail.enter(None)
        if self._unsent is not None:
            raise from_os_error(self._unsent, self.evidence())

    def overdue(self, timeout: timedelta) -> Failure:
        """Return the failure of a conversation that its deadline ended: nothing was said, or something else."""
        late = overdue(self.trail, timeout, self.evidence())
        if self._expected is None or self.trail.phase not in {"wait", "read"}:
            return late
        if not self._unmet():
            return Failure(late.reason, f"expected {self._wanted()}, {late.detail}", late.evidence, late.phase)
        return Failure(
            Reason.ASSERTION, f"{self._otherwise()}, and no more within {timeout.total_seconds():g} s", late.evidence
        )

    def evidence(self) -> Evidence:
        """Return what was seen and heard so far."""
        trail = self.trail
        said = _readable(hide(self._heard, self._confidential))[:_LONGEST_SHOWN]
        return Evidence(addresses=trail.addresses, address=trail.address, phases=trail.phases, tls=trail.tls, said=said)

    async def _send(self, connection: Connection, step: Send) -> None:
        self.trail.enter("send")
        self._confidential.update(step.payload.confidential)
        self._answer = len(self._heard)
        try:
            await connection.send(step.payload.reveal())
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError) as error:
            self._unsent = error  # it may have said why before it hung up: reading tells
        except OSError as error:
            raise from_os_error(error, self.evidence(), phase="send") from error

    async def _expect(self, connection: Connection, step: Expect) -> None:
        self._expected = step
        found = locator(step.pattern)
        never = locator(step.unless) if step.unless is not None else None
        self.trail.enter("read" if len(self._heard) > max(self._place, self._answer) else "wait")
        while (end := found(self._heard, self._place)) is None:
            if never is not None and never(self._heard, self._place) is not None:
                raise self._fault(Reason.ASSERTION, self._otherwise())
            if not await self._hear(connection):
                raise self._ended()
        self._place = end
        self._expected = self._unsent = None
        self.trail.enter(None)

    async def _hear(self, connection: Connection) -> bool:
        """Take in what comes next. False: nothing will come any more. Raise `Fault` where it is too much, or a reset."""
        room = MOST_HEARD - len(self._heard)
        if room <= 0:
            raise self._fault(Reason.TOO_LARGE, f"more than 64 KiB of other things, expected {self._wanted()}")
        self._pieces += 1
        if self._pieces > _SOME_PIECES:
            # Each piece is searched as it comes; one who sends byte by byte shall not make that cost a core.
            await self._clock.sleep(_PAUSE)
        try:
            data = await connection.receive(room)
        except ssl.SSLEOFError:
            return False
        except OSError as error:
            raise from_os_error(error, self.evidence(), phase=self.trail.phase) from error
        if data and self.trail.phase == "wait":
            self.trail.enter("read")
        self._heard += data
        return bool(data)

    async def _turn_to_tls(self, connection: Connection, start_tls: Callable[[], Awaitable[None]]) -> None:
        """Shake hands where plain text ends. Raise `Fault` where the peer goes on in plain text."""
        if self._unsent is not None:
            raise from_os_error(self._unsent, self.evidence())
        met = self._heard[: self._place]
        if b"\r\n" in met and not met.endswith(b"\n"):
            await self._expect(connection, Expect("\n"))  # it speaks in lines: the rest of this one is plain text too
        if self._unmet():
            # Whoever sits between the two could have put it there, and it would pass for protected (CVE-2011-0411).
            detail = f"the peer went on in plain text before the TLS handshake: {self._quoted(self._unmet())}"
            raise self._fault(Reason.TLS_HANDSHAKE, detail)
        await start_tls()

    def _unmet(self) -> bytes:
        """Return what was said since our last words and has met no expectation."""
        return self._heard[max(self._place, self._answer) :]

    def _ended(self) -> Fault:
        unmet = self._unmet()
        if unmet.endswith(b"\n"):
            return self._fault(Reason.ASSERTION, f"{self._otherwise()}, and the connection was closed")
        after = f" after {self._quoted(unmet)}" if unmet else ""
        return self._fault(Reason.TRUNCATED, f"connection closed{after}, expected {self._wanted()}")

    def _otherwise(self) -> str:
        return f"expected {self._wanted()}, actual {self._quoted(self._unmet())}"

    def _wanted(self) -> str:
        if self._expected is None:
            return ""
        pattern = _readable(hide(self._expected.pattern.encode(), self._confidential))
        for char, written in (("\r", r"\r"), ("\n", r"\n"), ("\t", r"\t")):
            pattern = pattern.replace(char, written)
        return self._expected.meaning or f'"{cut(pattern, _LONGEST_QUOTED)}"'

    def _quoted(self, data: bytes) -> str:
        """Return what was said as one piece of a sentence. A secret at the edge of what is cut was hidden before."""
        return f'"{cut(one_line(_readable(hide(data, self._confidential)[:4096])), _LONGEST_QUOTED)}"'

    def _fault(self, reason: Reason, detail: str) -> Fault:
        self.trail.enter(None)
        return fault(reason, detail, self.evidence())


def _readable(data: bytes) -> str:
    r"""Return text as it is, line breaks included, and all other bytes as \xHH."""
    return "".join(
        char if char.isprintable() or char in "\r\n\t" else _escaped(char)
        for char in data.decode("utf-8", "surrogateescape")
    )


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))

"""What one exchange has shown so far, complete or not."""

from datetime import timedelta

from laya_uptime.domain.result import Attempted, Body, DnsFacts, Evidence, Hop, Phases, TlsFacts
from laya_uptime.ports import Clock

_NOTHING = Phases()


class ExchangeTrail:
    """The trail of one exchange: steps timed as they happen, facts noted as they come.

    `phase` is the step under way, or the last one. Headers are in evidence form: capped and redacted.
    """

    __slots__ = (
        "_began",
        "_clock",
        "_took",
        "address",
        "addresses",
        "attempts",
        "body",
        "content_type",
        "dns",
        "headers",
        "http_version",
        "phase",
        "status",
        "status_text",
        "tls",
    )

    def __init__(self, clock: Clock) -> None:
        """Begin with nothing seen."""
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Forget everything, for an exchange that starts over."""
        self.phase: str | None = None
        self.addresses: tuple[str, ...] = ()
        self.address: str | None = None
        self.attempts: tuple[Attempted, ...] = ()
        self.tls: TlsFacts | None = None
        self.dns: DnsFacts | None = None
        self.http_version: str | None = None
        self.status: int | None = None
        self.status_text = ""
        self.headers: tuple[tuple[str, str], ...] = ()
        self.content_type = ""  # the whole header value
        self.body: bytes | bytearray = b""  # decompressed so far
        self._began: float | None = None
        self._took: dict[str, float] = {}  # seconds

    def enter(self, phase: str | None) -> None:
        """End the step under way, if any, and begin this one; None: only end it.

        A step that comes again, as in a dialogue, adds up.
        """
        began = self._began
        if began is None and phase is None:
            return
        now = self._clock.monotonic()
        if began is not None:
            last = self.phase
            assert last is not None
            self._took[last] = self._took.get(last, 0.0) + now - began
        if phase is None:
            self._began = None
        else:
            self._began = now
            self.phase = phase

    def add_body(self, data: bytes) -> None:
        """Note more of the body. Most bodies come in one piece, which is not copied."""
        if not self.body:
            self.body = data
        elif isinstance(self.body, bytearray):
            self.body += data
        else:
            self.body = bytearray(self.body) + data

    @property
    def phases(self) -> Phases:
        """Return how long each step took, the one under way until now."""
        took = self._took
        if self._began is not None and self.phase is not None:
            until_now = took.get(self.phase, 0.0) + self._clock.monotonic() - self._began
            took = took | {self.phase: until_now}
        if not took:
            return _NOTHING
        return Phases(**{phase: timedelta(0, seconds) for phase, seconds in took.items()})

    def evidence(self, *, body: Body | None = None, redirects: tuple[Hop, ...] = ()) -> Evidence:
        """Return what was seen so far; the body is for the caller to read."""
        return Evidence(
            addresses=self.addresses,
            address=self.address,
            attempts=self.attempts,
            phases=self.phases,
            http_version=self.http_version,
            status=self.status,
            status_text=self.status_text,
            headers=self.headers,
            body=body,
            tls=self.tls,
            redirects=redirects,
            dns=self.dns,
        )

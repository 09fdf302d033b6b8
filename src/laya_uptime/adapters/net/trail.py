"""What one exchange has shown so far, complete or not."""

from datetime import timedelta

from laya_uptime.domain.result import DnsFacts, Evidence, Phases, TlsFacts
from laya_uptime.ports import Clock


class ExchangeTrail:
    """The trail of one exchange: steps timed as they happen, facts noted as they come.

    `phase` is the step under way, or the last one. Headers are in evidence form: capped and redacted.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin with nothing seen."""
        self.phase: str | None = None
        self.addresses: tuple[str, ...] = ()
        self.address: str | None = None
        self.tls: TlsFacts | None = None
        self.dns: DnsFacts | None = None
        self.http_version: str | None = None
        self.status: int | None = None
        self.status_text = ""
        self.headers: tuple[tuple[str, str], ...] = ()
        self.content_type = ""  # the whole header value
        self.body = bytearray()  # decompressed so far
        self._clock = clock
        self._began: float | None = None
        self._took: dict[str, timedelta] = {}

    def enter(self, phase: str | None) -> None:
        """End the step under way, if any, and begin this one; None: only end it."""
        now = self._clock.monotonic()
        if self._began is not None and self.phase is not None:
            self._took[self.phase] = self._until(now)
        self._began = None if phase is None else now
        self.phase = phase or self.phase

    @property
    def phases(self) -> Phases:
        """Return how long each step took, the one under way until now."""
        took = self._took
        if self._began is not None and self.phase is not None:
            took = took | {self.phase: self._until(self._clock.monotonic())}
        return Phases(**took)

    def _until(self, now: float) -> timedelta:
        """Return how long the step under way has taken; in a dialogue the same step comes again, and adds up."""
        assert self._began is not None
        assert self.phase is not None
        return self._took.get(self.phase, timedelta(0)) + timedelta(seconds=now - self._began)

    def evidence(self) -> Evidence:
        """Return what was seen so far; the body is for the caller to read."""
        return Evidence(
            addresses=self.addresses,
            address=self.address,
            phases=self.phases,
            http_version=self.http_version,
            status=self.status,
            status_text=self.status_text,
            headers=self.headers,
            tls=self.tls,
            dns=self.dns,
        )

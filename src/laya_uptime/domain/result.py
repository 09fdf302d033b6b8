"""Observation: what a probe saw. Verdict: what we make of it. Result: both, as stored.

An outage is a value here, never an exception: `Seen` is either an `Answer` or a `Failure`, and both
carry whatever `Evidence` was gathered on the way, so a red thing can always show why.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from laya_uptime.domain.reason import Reason


class Outcome(StrEnum):
    """What one round says about a monitor."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """How long each step of one exchange took, summed up where it came again. None: not reached, or not needed."""

    dns: timedelta | None = None
    connect: timedelta | None = None
    tls: timedelta | None = None
    send: timedelta | None = None
    wait: timedelta | None = None
    read: timedelta | None = None

    def reached(self) -> list[tuple[str, timedelta]]:
        """Return the steps that were timed, in the order in which they happen."""
        steps = ("dns", "connect", "tls", "send", "wait", "read")
        return [(step, took) for step in steps if (took := getattr(self, step)) is not None]


_NO_PHASES = Phases()


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate as presented, in plain words. Instants are UTC."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str  # SHA-256 of the DER form, lower-case hex
    key: str = ""  # RSA, EC, Ed25519 or Ed448; empty: another kind, or it could not be read
    bits: int | None = None  # of the key, where its kind comes in sizes
    digest: str = ""  # SHA-256, SHA-1, MD5, ...: what its issuer signed; empty: the signature has none, or another


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFacts:
    """What the TLS handshake showed, kept also when it failed. `chain` begins with the server's own certificate."""

    version: str | None = None
    cipher: str | None = None
    chain: tuple[Certificate, ...] = ()
    fault: str | None = None  # why verification failed; None: it did not


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A decoded body, at most 1 MiB after decompression.

    `document` is the parsed JSON where the body is JSON. `fault` says in plain words why the bytes
    are not what they claim to be ("not valid JSON at byte 12"); None: nothing was claimed or nothing is wrong.
    """

    content_type: str = ""  # lower-case media type without parameters
    text: str = ""
    size: int = 0  # bytes after decompression
    document: object = None
    is_document: bool = False  # tells a JSON null from the absence of JSON
    fault: str | None = None
    misdeclared: bool = False  # the declared charset does not fit the bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One redirect that was followed or refused. URLs are redacted."""

    url: str
    status: int
    location: str
    phases: Phases


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsFacts:
    """What a name server answered. Names are ASCII without their final dot; counts and lengths are bounded."""

    name: str  # that was asked for, search domain and all
    record: str  # the type that was asked for, e.g. "MX"; "A, AAAA" where both were
    server: str  # its address, with the port where it is not 53
    rcode: str  # as IANA names it: "NOERROR", "NXDOMAIN", "SERVFAIL"
    answers: tuple[str, ...] = ()  # the records' data: "192.0.2.1", "10 mail.example.org"
    aliases: tuple[str, ...] = ()  # the names that CNAME records led through, in order
    authenticated: bool = False  # the server says that DNSSEC proves the answer (the AD flag)
    tcp: bool = False  # the answer came over TCP, as a rule because a datagram was too small for it
    why: str = ""  # what the server itself says of the error, RFC 8914


@dataclass(frozen=True, slots=True, kw_only=True)
class PingFacts:
    """What became of some ICMP echoes. `rtts`: how long each answer took, in the order in which the echoes were sent."""

    sent: int
    rtts: tuple[timedelta, ...] = ()

    @property
    def loss(self) -> float:
        """Return how many percent of the echoes were not answered, 0 to 100, to one decimal place."""
        return round(100 * (self.sent - len(self.rtts)) / self.sent, 1) if self.sent else 0.0

    @property
    def rtt(self) -> timedelta | None:
        """Return the median round trip; None: nothing was answered."""
        if not self.rtts:
            return None
        ordered, middle = sorted(self.rtts), len(self.rtts) // 2
        return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramReport:
    """What a program that was asked says of the target: up, degraded or down, one line for people, and its figures."""

    outcome: Outcome
    text: str = ""
    figures: tuple[tuple[str, float], ...] = ()  # by name, without their units


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """One address of several that was tried, how long, and why it was not the one; no cause: it was."""

    address: str
    took: timedelta
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything one probe saw, complete or not. URLs and header values are redacted where they may hold secrets."""

    addresses: tuple[str, ...] = ()  # all that the name resolved to, in the order tried
    address: str | None = None  # the one that was connected
    attempts: tuple[Attempted, ...] = ()  # where more than one address was tried, in the order in which they ended
    phases: Phases = _NO_PHASES  # of the last exchange; earlier ones are in `redirects`
    http_version: str | None = None
    status: int | None = None
    status_text: str = ""
    headers: tuple[tuple[str, str], ...] = ()  # names in lower case, capped
    body: Body | None = None
    tls: TlsFacts | None = None
    redirects: tuple[Hop, ...] = ()
    dns: DnsFacts | None = None  # None: no name server was asked by ourselves
    ping: PingFacts | None = None
    report: ProgramReport | None = None
    said: str = ""  # what a peer without a body said, capped; other bytes than text as \xHH, dots for secrets


_NO_EVIDENCE = Evidence()


@dataclass(frozen=True, slots=True)
class Answer:
    """The target spoke; whether it said something good is for `judge` to decide."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Failure:
    """The target did not speak, or not properly, and why.

    `detail` is a short plain cause for people ("Connection refused"), never a library's repr and never a secret.
    `phase` names the step under way when the deadline passed (dns, connect, tls, send, wait, read), else None.
    """

    reason: Reason
    detail: str
    evidence: Evidence = _NO_EVIDENCE
    phase: str | None = None


Seen = Answer | Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One probe of one monitor from one region.

    `due` is the instant its slot came due and keys the round; `at` is when the probe began; both are UTC.
    """

    monitor_id: str
    region: str
    due: datetime
    at: datetime
    elapsed: timedelta
    seen: Seen

    @property
    def evidence(self) -> Evidence:
        """Return what was seen on the way, whichever way it ended."""
        return self.seen.evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One part of a health document, e.g. `disk_space`: its own word, what the word means, and its message."""

    name: str
    word: str
    outcome: Outcome
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionResult:
    """One assertion held against one observation, with every operand's actual value."""

    text: str
    holds: bool
    actual: tuple[tuple[str, str], ...] = ()  # (operand, value as people read it); "absent" where it was not there

    def explain(self) -> str:
        """Return "expected EXPRESSION, actual operand = value, ..."."""
        values = ", ".join(f"{operand} = {value}" for operand, value in self.actual)
        return f"expected {self.text}, actual {values}" if values else f"expected {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What we make of one observation. `reason` is None exactly when the outcome is up."""

    outcome: Outcome
    label: str  # the body's own status word, e.g. healthy or alive; else the outcome's
    reason: Reason | None = None
    detail: str = ""  # one plain sentence for people
    components: tuple[Component, ...] = ()
    assertions: tuple[AssertionResult, ...] = ()

    @property
    def is_failure(self) -> bool:
        """Say whether this round counts as a failed check."""
        return self.outcome is Outcome.DOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An observation and its verdict, as stored."""

    observation: Observation
    verdict: Verdict

    def measured(self) -> "Result":
        """Return it without what was read and presented: status, times and the verdict, which is what ledgers keep."""
        whole = self.observation.seen.evidence
        evidence = Evidence(status=whole.status, phases=whole.phases)
        match self.observation.seen:
            case Answer():
                seen: Seen = Answer(evidence)
            case Failure(reason=reason, detail=detail, phase=phase):
                seen = Failure(reason, detail, evidence, phase)
        return Result(
            observation=replace(self.observation, seen=seen),
            verdict=replace(self.verdict, components=(), assertions=()),
        )

"""The file format: every key, what it takes and within which limits. An unknown key is an error.

The options of a check or a notifier are no part of it; they stand beside these keys and are described where they are
used, in the struct that `plugins.find` returns.
"""

from datetime import timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Meta, UnsetType

from laya_uptime.config.quantities import Bytes, Span
from laya_uptime.domain.assertion import Assertion
from laya_uptime.domain.monitor import HealthMode

_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)

# One line of text. The look-ahead is the end of the text: a plain $ would also match before a last line break.
_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+(?![\s\S])"

Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=_LINE, description="It must be one line of text.")]
Every = Annotated[timedelta, Span(_SECOND, 365 * _DAY, whole=True), Meta(description="How often to check.")]
Timeout = Annotated[
    timedelta,
    Span(timedelta(milliseconds=1), timedelta(hours=1)),
    Meta(description="How long one whole check may take."),
]
Confirm = Annotated[int, Meta(ge=1, le=100, description="Failures in a row before a monitor is down.")]
Recover = Annotated[int, Meta(ge=1, le=100, description="Passes in a row before a monitor is up again.")]
Remind = Annotated[int, Meta(ge=0, le=100_000, description="Failures from one reminder to the next; 0: no reminders.")]
CertWarning = Annotated[
    timedelta,
    Span(timedelta(0), 3650 * _DAY),
    Meta(description="A certificate that expires sooner than this is degraded."),
]
Expect = Annotated[tuple[Assertion, ...], Meta(max_length=100, description="What must hold, or the monitor is down.")]
Prefer = Annotated[tuple[Assertion, ...], Meta(max_length=100, description="What should hold, or it is degraded.")]
Health = Annotated[HealthMode, Meta(description="Whether a health document is read from the body.")]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `defaults`, a group and a monitor may all say. The most particular one counts."""

    every: Every | UnsetType = UNSET
    timeout: Timeout | UnsetType = UNSET
    confirm: Confirm | UnsetType = UNSET
    recover: Recover | UnsetType = UNSET
    remind: Remind | UnsetType = UNSET
    expect: Expect | UnsetType = UNSET
    prefer: Prefer | UnsetType = UNSET
    health: Health | UnsetType = UNSET
    cert_warning: CertWarning | UnsetType = UNSET


class MonitorKeys(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every monitor may say beside the options of its check."""

    name: Name | UnsetType = UNSET
    type: Annotated[str, Meta(description="The check, where the scheme of the URL does not tell.")] | UnsetType = UNSET
    group: Annotated[str, Meta(description="A name from groups.")] | UnsetType = UNSET


class ChannelKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every channel may say beside the options of its notifier."""

    type: str
    title: Name | UnsetType = UNSET


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is watched as a whole, and the time zone its people live in."""

    name: Name = "laya-uptime"
    timezone: Annotated[ZoneInfo, Meta(description="An IANA name such as Europe/Berlin.")] = msgspec.field(
        default_factory=lambda: ZoneInfo("UTC")
    )


class Egress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses and networks that are opened although they are closed by default."""

    allow: Annotated[
        list[str], Meta(max_length=1000, description="IP addresses and networks such as 169.254.169.254 or fe80::/10.")
    ] = []


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The program's own log. Without a file it goes to standard output alone."""

    file: Annotated[str, Meta(min_length=1, max_length=4096, description="The path of the log file.")] | None = None
    format: Annotated[Literal["text", "json"], Meta(description="How each line is written.")] = "text"
    max_size: Annotated[int, Bytes(10_000, 10_000_000_000), Meta(description="The log rotates at this size.")] = (
        10_000_000
    )
    keep: Annotated[int, Meta(ge=1, le=1000, description="How many full log files are kept.")] = 5
    checks: (
        Annotated[
            Literal["every", "changes"],
            Meta(description="Which checks have a line; up to 100 monitors every one, above that changes."),
        ]
        | UnsetType
    ) = UNSET


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long what was seen is kept."""

    results: Annotated[
        timedelta, Span(_DAY, 3650 * _DAY), Meta(description="How long every single result is kept.")
    ] = 90 * _DAY


class Store(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The database."""

    retention: Retention = Retention()


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the program itself can be reached."""

    listen: Annotated[str, Meta(max_length=300, description="Address and port, e.g. 127.0.0.1:8484 or [::1]:8484.")] = (
        "127.0.0.1:8484"
    )


class Permission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether checks of this type may run what the file names, as the user of the service."""

    allow: Annotated[bool, Meta(description="Whether checks of this type may be used.")] = False


class Sections(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sections with a fixed set of keys. Beside them stand FREE_SECTIONS."""

    site: Site = msgspec.field(default_factory=Site)
    defaults: Settings = Settings()
    egress: Egress = msgspec.field(default_factory=Egress)
    log: Log = Log()
    store: Store = Store()
    server: Server = Server()
    exec: Permission = Permission()
    python: Permission = Permission()


# Sections whose keys are the names that people give.
FREE_SECTIONS = ("groups", "monitors", "notify")

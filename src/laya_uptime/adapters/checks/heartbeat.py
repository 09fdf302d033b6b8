"""Listen instead of looking: a job reports when it has run, and its silence is what is told.

The options of a heartbeat, and nothing else: the engine hears the signals and keeps the time. It stands among the checks
because it is configured, named and documented as one of them.
"""

import re
from datetime import UTC, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from laya_uptime.domain.heartbeat import Rhythm, rhythm_of
from laya_uptime.domain.monitor import Monitor, Patience
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Failure, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Reach

_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=365)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,200}")  # what needs no escape in a URL


class HeartbeatCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: heartbeat`."""

    heartbeat: Annotated[
        timedelta | str, msgspec.Meta(description="How often the job reports: a duration, or a crontab line.")
    ]
    timezone: Annotated[ZoneInfo, msgspec.Meta(description="In which the crontab line is meant.")] | None = None
    grace: Annotated[timedelta, msgspec.Meta(description="How long to wait for a job beyond its time.")] | None = None
    token: Annotated[Secret, msgspec.Meta(description="The secret in the URL that the job calls.")] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError with a plain sentence, and without any secret, where nothing can be listened for with this."""
        when = self.heartbeat
        if isinstance(when, timedelta):
            if not _SHORTEST <= when <= _LONGEST:
                raise ValueError("`heartbeat` must be from 1s to 365d, or a crontab line")
            if self.timezone is not None:
                raise ValueError("`timezone` is for a crontab line; a period is the same everywhere")
        else:
            try:
                rhythm_of(when)
            except ValueError as error:
                raise ValueError(f"`heartbeat` is neither a duration nor a crontab line: {error}") from None
        if self.grace is not None and not _SHORTEST <= self.grace <= _LONGEST:
            raise ValueError("`grace` must be from 1s to 365d")
        if self.token is not None and _TOKEN.fullmatch(self.token.reveal()) is None:
            raise ValueError("`token` must be 16 to 200 letters, digits, hyphens and underscores")

    @property
    def target(self) -> str:
        """Return what people read in place of an address. It stays the same when the period changes."""
        return "heartbeat"

    @property
    def rhythm(self) -> Rhythm:
        """Return when the job is to report."""
        return rhythm_of(self.heartbeat, zone=self.timezone or UTC, grace=self.grace)

    @property
    def usual(self) -> Monitor:
        """Return how a heartbeat is watched: what a job says is believed at once, and so is its silence."""
        rhythm = self.rhythm
        return Monitor(
            id="",
            name="",
            target="",
            every=rhythm.longest_gap,
            timeout=2 * rhythm.grace,  # a run may begin as late as its grace, and end a grace later
            patience=Patience(failures=1, passes=1),
        )

    @property
    def unused(self) -> dict[str, str]:
        """Return the settings that mean nothing here, each with what to write instead."""
        return {
            "every": "The value of heartbeat is its period.",
            "timeout": "Write grace.",
            "health": "Nothing is read that could be one.",
            "cert_warning": "There is no certificate.",
        }

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  see `ports.Check`
        """Return that there is nothing to look at."""
        del via, timeout
        return Failure(Reason.INTERNAL, "a heartbeat is listened to by the running service, not looked at")

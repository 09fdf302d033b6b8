"""One HTTP POST that carries an alert, and what its answer means for the next attempt.

Shared by the channels that speak HTTP. 2xx is delivered. 408, 425, 429, 5xx and connections that fail are tried
again, no sooner than the receiver asked for (Retry-After, RFC 9110 section 10.2.3, at most a day). Every other
answer is final: a redirect is not followed, because an alert goes only where its configuration says.
Causes name the host and nothing else of the URL, since its path and query are often the token.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from laya_uptime.adapters.net.http1 import request
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.alert import Alert
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.text import cut, one_line
from laya_uptime.domain.urls import parse_url
from laya_uptime.errors import DeliveryError
from laya_uptime.ports import Fault, Purpose, Reach

LONGEST_WAIT = timedelta(hours=24)
_TRY_AGAIN = frozenset({408, 425, 429})
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_CAUSE = 200


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is not 2xx, whole or not, and when it came. Header names are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    at: datetime


async def post(
    alert: Alert,
    via: Reach,
    url: Secret,
    body: bytes,
    *,
    headers: Mapping[str, str] | None = None,
    ca_file: str | None = None,
    asked: Callable[[Refusal], timedelta | None] | None = None,
) -> None:
    """Post a JSON body. Raise DeliveryError where the receiver did not take it.

    `asked` reads from a refusal how long to wait, where a vendor says so outside Retry-After.
    """
    sent = {"Content-Type": "application/json", **(headers or {}), "Idempotency-Key": alert.id}
    seen = ExchangeTrail(via.clock)
    try:
        await request(
            via,
            "POST",
            url.reveal(),
            headers=sent,
            body=body,
            purpose=Purpose.NOTIFICATION,
            explicit=True,
            ca_file=ca_file,
            trail=seen,
        )
    except Fault as fault:
        # Once the receiver has spoken, its status line decides, even where its answer breaks off or never ends:
        # otherwise an alert that was taken would be repeated for a day.
        if seen.status is None:
            cause = cut(one_line(fault.failure.detail), _CAUSE)
            raise DeliveryError(cause, retry=fault.failure.reason is not Reason.BLOCKED_BY_POLICY) from fault
    status = seen.status or 0
    if 200 <= status < 300:
        return
    retry = status in _TRY_AGAIN or status >= 500
    refusal = Refusal(status, seen.headers, bytes(seen.body), via.clock.now())
    after = (asked or retry_after)(refusal) if retry else None
    raise DeliveryError(f"HTTP {status} from {host_of(url)}", retry=retry, after=after)


def retry_after(refusal: Refusal) -> timedelta | None:
    """Return the wait that the Retry-After header asks for, from nothing up to a day; None: it asks for none."""
    for name, value in refusal.headers:
        if name == "retry-after":
            return _wait(value.strip(), refusal.at)
    return None


def seconds(count: float) -> timedelta | None:
    """Return a wait of so many seconds, from nothing up to a day; None for what is no count."""
    if count != count:  # noqa: PLR0124  NaN alone differs from itself, and JSON readers let it in
        return None
    return timedelta(seconds=min(max(count, 0.0), LONGEST_WAIT.total_seconds()))


def _wait(value: str, now: datetime) -> timedelta | None:
    if _SECONDS.fullmatch(value):
        return seconds(float(value))
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if until.tzinfo is None:  # "-0000" says that the zone is unknown; RFC 9110 dates are always GMT
        until = until.replace(tzinfo=UTC)
    return min(max(until - now, timedelta(0)), LONGEST_WAIT)


def host_of(url: Secret) -> str:
    """Return the host of a URL that `check_url` has accepted: all of it that people may see."""
    return parse_url(url.reveal()).host


def check_url(url: Secret, *, option: str) -> None:
    """Raise ValueError, without showing the URL, where it is not one that a channel can post to."""
    try:
        parse_url(url.reveal())
    except ValueError as error:
        message = f"`{option}`: {error}"
        raise ValueError(message) from None

"""Ask a web server, follow where it points, and keep everything that was seen on the way.

A redirect is resolved and vetted like the first URL. It never leads from https to http, to another scheme, or into what
the egress policy closes, and what the configuration says in confidence stays with the origin it was said to: once a
redirect leaves that origin, credentials and all headers that could hold one are gone for the rest of the way.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal

import msgspec

from laya_uptime.adapters.net import wire
from laya_uptime.adapters.net.document import read_body
from laya_uptime.adapters.net.exchange import overdue
from laya_uptime.adapters.net.http1 import Response, request
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.dns import NameServer
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Evidence, Failure, Hop, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.urls import parse_url, redact
from laya_uptime.ports import Fault, Purpose, Reach

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_LONGEST_NAMED = 300  # characters of an address in a sentence

# What may go to any origin. Every other header may be somebody's way to carry a token.
_PUBLIC_HEADERS = frozenset(
    ("accept", "accept-encoding", "accept-language", "cache-control", "content-type", "user-agent")
)
_BODY_HEADERS = frozenset(("content-encoding", "content-language", "content-location", "content-type"))


class HttpCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: http`, and the probe they configure."""

    url: Secret  # may carry user:password@ for Basic authentication
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    headers: dict[str, Secret] = {}
    body: Secret | None = None
    redirects: Annotated[int, msgspec.Meta(ge=0, le=10)] = 5  # followed at most; 0: a redirect is the answer itself
    ca_file: str | None = None  # trusted instead of the system's authorities
    resolver: str | None = None  # the name server that is asked instead of this machine's own

    def __post_init__(self) -> None:
        """Raise ValueError with a plain sentence, and without any secret, where no request can be made of this."""
        parse_url(self.url.reveal())
        for name, value in self.headers.items():
            wire.check_header(name, value.reveal())
        if not 0 <= self.redirects <= 10:
            raise ValueError("redirects must be from 0 to 10")
        if self.resolver is not None:
            NameServer.parse(self.resolver)

    @property
    def target(self) -> str:
        """Return the URL without credentials and secret query values."""
        return redact(self.url.reveal())

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  it keeps what was seen until then
        """Look once, on a fresh connection. An outage is returned, never raised; so is a passed deadline."""
        journey = _Journey(self, via)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await journey.go()
        except TimeoutError:  # every other one has become a Fault by now
            return journey.overdue(timeout)


class _Journey:
    """One probe on its way from hop to hop."""

    def __init__(self, check: HttpCheck, via: Reach) -> None:
        self._check = check
        self._via = via
        self._hops: list[Hop] = []
        self._trail = ExchangeTrail(via.clock)
        self._url = parse_url(check.url.reveal())
        self._method: str = check.method
        self._headers = {name: value.reveal() for name, value in check.headers.items()}
        self._body = b"" if check.body is None else check.body.reveal().encode("utf-8")
        self._resolver = None if check.resolver is None else NameServer.parse(check.resolver)
        self._been = {self._place}

    async def go(self) -> Seen:
        while True:
            try:
                response = await request(
                    self._via,
                    self._method,
                    self._url,
                    headers=self._headers,
                    body=self._body,
                    purpose=Purpose.CHECK,
                    explicit=True,
                    ca_file=self._check.ca_file,
                    resolver=self._resolver,
                    trail=self._trail,
                )
            except Fault as fault:
                return self._failed(fault.failure)
            location = response.header("location")
            if response.status not in _REDIRECTS or not location or not self._check.redirects:
                return Answer(self._evidence(whole=True))
            refused = self._turn(response, location)
            if refused is not None:
                return refused

    def overdue(self, timeout: timedelta) -> Failure:
        """Return the failure of a journey that its deadline ended."""
        self._trail.enter(None)
        return overdue(self._trail, timeout, self._evidence())

    @property
    def _place(self) -> tuple[str, tuple[str, str, int], str]:
        return self._method, self._url.origin, self._url.target

    def _evidence(self, *, whole: bool = False) -> Evidence:
        trail = self._trail
        body = None
        if trail.status is not None:
            expected = self._method != "HEAD" and trail.status not in {204, 304}
            body = read_body(bytes(trail.body), trail.content_type, whole=whole and expected)
        return replace(trail.evidence(), body=body, redirects=tuple(self._hops))

    def _failed(self, failure: Failure) -> Failure:
        evidence = self._evidence()
        if not self._hops:
            return replace(failure, evidence=evidence)
        here = _named(self._url.redacted)
        if failure.reason is Reason.BLOCKED_BY_POLICY:
            return Failure(Reason.REDIRECT_BLOCKED, f"redirect to {here} is blocked: {failure.detail}", evidence)
        return replace(failure, detail=f"{failure.detail} (after a redirect to {here})", evidence=evidence)

    def _turn(self, response: Response, location: str) -> Failure | None:
        """Go where the answer points. Return why not where that must not be."""
        here = self._url
        named = _named(redact(location))
        self._hops.append(
            Hop(url=_named(here.redacted), status=response.status, location=named, phases=self._trail.phases)
        )
        if len(self._hops) > self._check.redirects:
            return self._stop(Reason.REDIRECT_LOOP, f"more than {self._check.redirects} redirects, the last to {named}")
        try:
            there = here.join(_as_text(location))
        except ValueError as error:
            return self._stop(Reason.REDIRECT_BLOCKED, f"redirect to {named} is blocked: {error}")
        if (here.scheme, there.scheme) == ("https", "http"):
            return self._stop(Reason.REDIRECT_BLOCKED, f"redirect to {named} is blocked: it leads from https to http")
        self._rewrite(response.status)
        if there.origin == here.origin:
            there = replace(there, credentials=here.credentials)
        elif self._body:
            sentence = f"redirect to {named} is blocked: it would take the request's body to another origin"
            return self._stop(Reason.REDIRECT_BLOCKED, sentence)
        else:
            self._headers = {name: value for name, value in self._headers.items() if name.lower() in _PUBLIC_HEADERS}
        self._url = there
        if self._place in self._been:
            return self._stop(Reason.REDIRECT_LOOP, f"redirects go round in a circle, back to {named}")
        self._been.add(self._place)
        self._trail = ExchangeTrail(self._via.clock)
        return None

    def _rewrite(self, status: int) -> None:
        """Turn the request into a GET where the status says so (RFC 9110 sections 15.4.2 to 15.4.4)."""
        if (status == 303 and self._method != "HEAD") or (status in {301, 302} and self._method == "POST"):
            self._method = "GET"
            self._body = b""
            self._headers = {name: value for name, value in self._headers.items() if name.lower() not in _BODY_HEADERS}

    def _stop(self, reason: Reason, detail: str) -> Failure:
        return Failure(reason, detail, self._evidence())


def _as_text(location: str) -> str:
    """Read a header's bytes as UTF-8, which is what servers that send more than ASCII mean."""
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return location


def _named(url: str) -> str:
    return url if len(url) <= _LONGEST_NAMED else f"{url[:_LONGEST_NAMED]}..."

"""Ask a web server, follow where it points, and keep everything that was seen on the way.

A redirect is resolved and vetted like the first URL. It never leads from https to http, to another scheme, or into what
the egress policy closes, and what the configuration says in confidence stays with the origin it was said to: once a
redirect leaves that origin, credentials and all headers that could hold one are gone for the rest of the way.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal

import msgspec

from laya_uptime.adapters.net import curl, wire
from laya_uptime.adapters.net.document import read_body
from laya_uptime.adapters.net.exchange import overdue
from laya_uptime.adapters.net.faults import words
from laya_uptime.adapters.net.http1 import Exchange, Kept, Request
from laya_uptime.adapters.net.proxy import Proxy
from laya_uptime.adapters.net.tracing import exchange_for
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.dns import NameServer
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Evidence, Failure, Hop, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.urls import canonical_host, parse_endpoint, parse_url, redact
from laya_uptime.ports import ClientCertificate, Fault, Purpose, Reach

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_LONGEST_NAMED = 300  # characters of an address in a sentence

_BODY_HEADERS = frozenset(("content-encoding", "content-language", "content-location", "content-type"))


class HttpCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: http`, and the probe they configure."""

    url: Secret  # may carry user:password@ for Basic authentication
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    headers: dict[str, Secret] = {}
    bearer: Secret | None = None  # sent as Authorization: Bearer
    body: Secret | None = None
    redirects: Annotated[int, msgspec.Meta(ge=0, le=10)] = 5  # followed at most; 0: a redirect is the answer itself
    ca_file: str | None = None  # trusted instead of the system's authorities
    insecure: bool = False  # True: the certificate is looked at but not verified
    client_certificate: str | None = None  # shown to a server that asks; PEM
    client_key: str | None = None  # where it is not in the same file
    server_name: str | None = None  # whom the certificate must be for, and the server is told so; None: the URL's host
    connect_to: str | None = None  # host:port that is connected instead of the URL's
    ip: Literal[4, 6] | None = None  # None: both, whichever answers first
    resolver: str | None = None  # the name server that is asked instead of this machine's own
    proxy: Secret | None = None  # http://[user:password@]host:port or socks5://...
    keep_alive: bool = False  # True: the connection is kept for the next check
    http_version: Literal["1.1", "2", "3"] = "1.1"  # the one that is spoken, and no other; 2 and 3 by libcurl

    def __post_init__(self) -> None:
        """Raise ValueError with a plain sentence, and without any secret, where no request can be made of this."""
        url = parse_url(self.url.reveal())
        for name, value in self.headers.items():
            wire.check_header(name, value.reveal())
        if self.bearer is not None:
            wire.check_header("Authorization", self.bearer.reveal())
            if any(name.lower() == "authorization" for name in self.headers):
                raise ValueError("`bearer` and the header Authorization say the same thing twice")
        if not 0 <= self.redirects <= 10:
            raise ValueError("redirects must be from 0 to 10")
        if self.resolver is not None:
            NameServer.parse(self.resolver)
        if self.client_key is not None and self.client_certificate is None:
            raise ValueError("`client_key` needs `client_certificate`")
        self._check_places()
        if self.http_version != "1.1":
            curl.check_request(self.http_version, scheme=url.scheme, method=self.method, has_body=self.body is not None)
            for option in ("proxy", "keep_alive"):
                if getattr(self, option):
                    raise ValueError(f"`{option}` is for HTTP/1.1 alone")

    def _check_places(self) -> None:
        if self.server_name is not None:
            try:
                canonical_host(self.server_name)
            except ValueError as error:
                raise ValueError(f"`server_name`: {error}") from None
        if self.connect_to is not None:
            try:
                _place(self.connect_to)
            except ValueError as error:
                raise ValueError(f"`connect_to`: {error}") from None
        if self.proxy is not None:
            try:
                Proxy.parse(self.proxy.reveal())
            except ValueError as error:
                raise ValueError(f"`proxy`: {error}") from None

    @property
    def target(self) -> str:
        """Return the URL without credentials and secret query values."""
        return redact(self.url.reveal())

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  it keeps what was seen until then
        """Look once. An outage is returned, never raised; so is a passed deadline."""
        over: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()

        def tell(seen: Seen) -> None:
            if not over.done():  # cancelled in this very turn
                over.set_result(seen)

        ready = self.prepare(via)
        ready.keeps = False  # there is no next look
        looking = ready.begin(timeout, tell)
        try:
            return await over
        except asyncio.CancelledError:
            looking.cancel()
            raise

    def prepare(self, via: Reach) -> "PreparedHttp":
        """Return the check made ready to look through `via`."""
        return PreparedHttp(self, via)


class PreparedHttp:
    """The request of a check, written once."""

    __slots__ = ("exchange", "is_fast", "keeps", "kept", "redirects", "request", "via")

    def __init__(self, check: HttpCheck, via: Reach) -> None:
        """Write it. The check's options have been found sound."""
        self.via = via
        version = check.http_version
        self.exchange = exchange_for(via, version)
        self.redirects = check.redirects
        self.keeps = check.keep_alive
        self.kept: Kept | None = None
        self.is_fast = version == "1.1"  # until the faster TLS library turns out not to get on with this server
        certificate = check.client_certificate
        self.request = Request(
            method=check.method,
            url=parse_url(check.url.reveal()),
            headers=_headers(check),
            body=b"" if check.body is None else check.body.reveal().encode("utf-8"),
            keep_alive=check.keep_alive,
            purpose=Purpose.CHECK,
            explicit=True,
            ca_file=check.ca_file,
            insecure=check.insecure,
            client=None if certificate is None else ClientCertificate(certificate, check.client_key),
            resolver=None if check.resolver is None else NameServer.parse(check.resolver),
            version=check.ip,
            place=None if check.connect_to is None else _place(check.connect_to),
            server_name=None if check.server_name is None else canonical_host(check.server_name),
            proxy=None if check.proxy is None else Proxy.parse(check.proxy.reveal()),
        )

    def begin(self, timeout: timedelta, done: Callable[[Seen], None]) -> "_Journey":
        """Look once: see `Prepared.begin`."""
        journey = _Journey(self, timeout, done)
        try:
            journey.go()
        except OSError as error:  # no descriptor is left to wait with
            journey.cancel()
            done(Failure(Reason.INTERNAL, words(error)[1]))
        return journey

    def close(self) -> None:
        """See `Prepared.close`."""
        self.keeps = False
        kept, self.kept = self.kept, None
        if kept is not None:
            kept.close()


class _Journey:
    """One look on its way from hop to hop."""

    __slots__ = (
        "_alarm",
        "_been",
        "_done",
        "_exchange",
        "_hops",
        "_poll",
        "_prepared",
        "_request",
        "_timeout",
        "_trail",
    )

    def __init__(self, prepared: PreparedHttp, timeout: timedelta, done: Callable[[Seen], None]) -> None:
        self._prepared = prepared
        self._timeout = timeout
        self._done: Callable[[Seen], None] | None = done
        self._hops: list[Hop] = []
        self._been: set[tuple[str, tuple[str, str, int], str]] = set()
        self._request = prepared.request
        self._trail = ExchangeTrail(prepared.via.clock)
        self._exchange: Exchange | curl.CurlExchange | None = None
        self._alarm = 0

    def go(self) -> None:
        prepared = self._prepared
        self._poll = prepared.via.poll
        seconds = self._timeout.total_seconds()
        if prepared.is_fast:  # also for http://, which may lead to https://
            seconds /= 2  # the other half is for the library whose word counts
            self._alarm = self._poll.alarm(seconds, self._half_time)
        else:
            self._alarm = self._poll.alarm(seconds, self._overdue)
        kept, prepared.kept = prepared.kept, None
        self._ask(kept)

    def cancel(self) -> None:
        """Drop everything."""
        self._done = None
        self._leave()

    def _leave(self) -> None:
        if self._alarm:
            self._poll.silence(self._alarm)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()

    def _ask(self, kept: Kept | None = None) -> None:
        prepared = self._prepared
        self._exchange = prepared.exchange(
            prepared.via,
            self._request,
            self._trail,
            self._answered,
            kept=kept,
            keeps=prepared.keeps and self._request is prepared.request,
            fast=prepared.is_fast,
        )
        self._exchange.start()

    def _answered(self, trouble: Fault | None) -> None:
        try:
            seen = self._see(trouble)
        except Exception as error:  # noqa: BLE001  our own mistake is nobody's outage; its text may hold what nobody shall see
            seen = Failure(Reason.INTERNAL, f"the check itself failed ({type(error).__name__})")
        if seen is not None:
            self._finish(seen)

    def _see(self, trouble: Fault | None) -> Seen | None:
        """Return what was seen; None: the way goes on."""
        if trouble is not None:
            return self._failed(trouble.failure)
        exchange, prepared = self._exchange, self._prepared
        assert exchange is not None
        if exchange.fell_back:
            prepared.is_fast = False
        if prepared.keeps and self._request is prepared.request and prepared.kept is None:
            prepared.kept = exchange.keep()
        if self._trail.status in _REDIRECTS and prepared.redirects and (location := exchange.answer.location):
            refused = self._turn(location)
            if refused is None:
                self._ask()
            return refused
        return Answer(self._evidence(whole=True))

    def _finish(self, seen: Seen) -> None:
        self._leave()
        done, self._done = self._done, None
        if done is not None:
            done(seen)

    def _half_time(self) -> None:
        exchange = self._exchange
        self._alarm = self._poll.alarm(self._timeout.total_seconds() / 2, self._overdue)
        if exchange is not None and exchange.is_fast:
            exchange.fall_back()

    def _overdue(self) -> None:
        exchange, self._exchange = self._exchange, None
        awaits_proxy = exchange is not None and exchange.awaits_proxy
        if exchange is not None:
            if exchange.is_fast:
                self._prepared.is_fast = False  # the next look will tell whether it was to blame
            exchange.cancel()  # only now is it on record which addresses were being tried
        late = overdue(self._trail, self._timeout, self._evidence())
        if awaits_proxy:  # a dead proxy is our trouble, not the target's
            late = replace(late, reason=Reason.INTERNAL, detail=f"the proxy cannot be reached: {late.detail}")
        self._finish(late)

    def _place(self) -> tuple[str, tuple[str, str, int], str]:
        request = self._request
        return request.method, request.url.origin, request.url.target

    def _evidence(self, *, whole: bool = False) -> Evidence:
        trail = self._trail
        body = None
        if trail.status is not None:
            expected = self._request.method != "HEAD" and trail.status not in {204, 304}
            body = read_body(bytes(trail.body), trail.content_type, whole=whole and expected)
        return trail.evidence(body=body, redirects=tuple(self._hops))

    def _failed(self, failure: Failure) -> Failure:
        evidence = self._evidence()
        if not self._hops:
            return replace(failure, evidence=evidence)
        here = _named(self._request.url.redacted)
        if failure.reason is Reason.BLOCKED_BY_POLICY:
            return Failure(Reason.REDIRECT_BLOCKED, f"redirect to {here} is blocked: {failure.detail}", evidence)
        return replace(failure, detail=f"{failure.detail} (after a redirect to {here})", evidence=evidence)

    def _turn(self, location: str) -> Failure | None:
        """Go where the answer points. Return why not where that must not be."""
        request, status = self._request, self._trail.status
        assert status is not None
        here = request.url
        named = _named(redact(location))
        self._been.add(self._place())
        self._hops.append(Hop(url=_named(here.redacted), status=status, location=named, phases=self._trail.phases))
        most = self._prepared.redirects
        if len(self._hops) > most:
            return self._stop(Reason.REDIRECT_LOOP, f"more than {most} redirects, the last to {named}")
        try:
            there = here.join(_as_text(location))
        except ValueError as error:
            return self._stop(Reason.REDIRECT_BLOCKED, f"redirect to {named} is blocked: {error}")
        if (here.scheme, there.scheme) == ("https", "http"):
            return self._stop(Reason.REDIRECT_BLOCKED, f"redirect to {named} is blocked: it leads from https to http")
        onward = _rewritten(request, status)
        if there.origin == here.origin:
            self._request = onward.to(replace(there, credentials=here.credentials))
        elif onward.body:
            sentence = f"redirect to {named} is blocked: it would take the request's body to another origin"
            return self._stop(Reason.REDIRECT_BLOCKED, sentence)
        else:
            self._request = onward.to_stranger(there)
        if self._place() in self._been:
            return self._stop(Reason.REDIRECT_LOOP, f"redirects go round in a circle, back to {named}")
        self._trail = ExchangeTrail(self._prepared.via.clock)
        return None

    def _stop(self, reason: Reason, detail: str) -> Failure:
        return Failure(reason, detail, self._evidence())


def _headers(check: HttpCheck) -> dict[str, str]:
    headers = {name: value.reveal() for name, value in check.headers.items()}
    if check.bearer is not None:
        headers["Authorization"] = f"Bearer {check.bearer.reveal()}"  # RFC 6750
    return headers


def _place(text: str) -> tuple[str, int]:
    return parse_endpoint(f"tcp://{text}", scheme="tcp")


def _rewritten(request: Request, status: int) -> Request:
    """Return the request as a GET where the status says so (RFC 9110 sections 15.4.2 to 15.4.4)."""
    if (status == 303 and request.method != "HEAD") or (status in {301, 302} and request.method == "POST"):
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _BODY_HEADERS}
        return replace(request, method="GET", body=b"", headers=headers)
    return request


def _as_text(location: str) -> str:
    """Read a header's bytes as UTF-8, which is what servers that send more than ASCII mean."""
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return location


def _named(url: str) -> str:
    return url if len(url) <= _LONGEST_NAMED else f"{url[:_LONGEST_NAMED]}..."

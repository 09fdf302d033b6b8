"""Signals of jobs over HTTP, at the addresses that Healthchecks made common.

`/ping/TOKEN` is a success, `/ping/TOKEN/start`, `/fail` and `/log` are what they say, `/ping/TOKEN/N` is an exit code.
GET, HEAD and POST count alike, because a job uses what it has; so nothing that follows links may see such an address.
Instead of in the address, the token may stand in `Authorization: Bearer TOKEN`, with `/ping` and `/ping/start`.

A body may say what happened; ten kilobytes of it are kept. The answer is sent when the signal is durable: 200 `OK`. 503 means that it counts but could not be kept; 404 that no
heartbeat has this token, found out in the same time as that one has it.
"""

import hmac
import secrets
from collections.abc import Mapping
from hashlib import blake2b

from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from laya_uptime.domain.heartbeat import Kind
from laya_uptime.domain.secret import Secret
from laya_uptime.engine.heartbeats import LONGEST_TEXT, Heartbeats
from laya_uptime.failpoints import fp

METHODS = ("GET", "HEAD", "POST")
MOST_KEPT = 64 * 1024  # bytes of a body; what comes after them is thrown away as it comes
_KINDS = {"": Kind.SUCCESS, "start": Kind.START, "fail": Kind.FAIL, "log": Kind.LOG}
_BEARER = "bearer "
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


class Tokens:
    """The tokens, as something that time cannot be measured against."""

    def __init__(self, tokens: Mapping[str, Secret]) -> None:
        # Compared are digests under a key that nobody knows, so what a comparison takes says nothing of a token.
        self._key = secrets.token_bytes(32)
        self._monitors = {self._digest(token.reveal()): monitor_id for monitor_id, token in tokens.items()}

    def monitor(self, token: str) -> str | None:
        """Return whose token this is, None where it is nobody's."""
        digest = self._digest(token)
        found = self._monitors.get(digest)
        # The same work either way.
        known = digest if found is not None else self._digest("nobody")
        return found if hmac.compare_digest(known, digest) else None

    def _digest(self, token: str) -> bytes:
        return blake2b(token.encode("utf-8", "replace"), key=self._key).digest()


class Push:
    """The routes for signals."""

    def __init__(self, heartbeats: Heartbeats) -> None:
        self._heartbeats = heartbeats
        self._tokens = Tokens(heartbeats.tokens)

    def routes(self) -> list[Route]:
        """Return them. What comes with another method is refused with 405 by the router."""
        return [
            Route("/ping/{token}/{what}", self._by_address, methods=METHODS),
            Route("/ping/{token}", self._by_either, methods=METHODS),
            Route("/ping", self._by_header, methods=METHODS),
        ]

    async def _by_address(self, request: Request) -> Response:
        return await self._take(request, request.path_params["token"], request.path_params["what"])

    async def _by_either(self, request: Request) -> Response:
        bearer = _bearer(request)
        if bearer is not None:
            return await self._take(request, bearer, request.path_params["token"])
        return await self._take(request, request.path_params["token"], "")

    async def _by_header(self, request: Request) -> Response:
        return await self._take(request, _bearer(request) or "", "")

    async def _take(self, request: Request, token: str, what: str) -> Response:
        monitor_id = self._tokens.monitor(token)
        said = _said(what)
        if monitor_id is None or said is None:
            return _answer(404, "Not found")
        kind, exit_code = said
        try:
            body = await _body(request)
        except ClientDisconnect:
            return _answer(400, "The request is not whole")
        text = body.decode("utf-8", "replace")[:LONGEST_TEXT]
        kept = await self._heartbeats.hear(monitor_id, kind, text=text, exit_code=exit_code)
        if not kept:
            return _answer(503, "Heard, but it could not be kept", {"Retry-After": "5"})
        return _answer(200, "OK", background=BackgroundTask(_replied))


def _said(what: str) -> tuple[Kind, int | None] | None:
    """Return what the end of an address says; None: nothing that is known."""
    if what in _KINDS:
        return _KINDS[what], None
    if what.isascii() and what.isdigit() and len(what) <= 3 and int(what) <= 255:
        return Kind.SUCCESS, int(what)
    return None


def _bearer(request: Request) -> str | None:
    value = request.headers.get("authorization", "")
    return value[len(_BEARER) :].strip() if value.lower().startswith(_BEARER) else None


async def _body(request: Request) -> bytes:
    """Return the body, or its beginning where it is long; a sender that is cut short would not hear its answer."""
    body = bytearray()
    async for piece in request.stream():
        body += piece[: MOST_KEPT - len(body)]
    return bytes(body)


def _answer(
    status: int, text: str, headers: Mapping[str, str] | None = None, *, background: BackgroundTask | None = None
) -> Response:
    return PlainTextResponse(text, status, {**_HEADERS, **(headers or {})}, background=background)


async def _replied() -> None:
    fp("heartbeat.replied")

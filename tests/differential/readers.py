"""What our check, the command curl and the library requests make of the same answers, in the same words.

A `Reading` is either a whole answer (status, and a digest of the decoded body) or a fault of one of a few kinds, with
the reader's own words for it. Bodies are compared as text, read as UTF-8 and else as Latin-1, which is how our evidence
keeps them. All three ask for the same with fresh connections and follow at most five redirects.
"""

import asyncio
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import requests
import urllib3.exceptions
from requests.exceptions import (
    ChunkedEncodingError,
    ContentDecodingError,
    InvalidHeader,
    InvalidSchema,
    InvalidURL,
    RequestException,
    Timeout,
    TooManyRedirects,
)

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure
from laya_uptime.domain.secret import Secret

PATIENCE = 20  # seconds; nothing waits that long, because the server always ends the stream
REDIRECTS = 5
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reader made of one answer. `kind` is "whole" or the kind of fault."""

    kind: str
    status: int | None = None
    body: str | None = None
    words: str = ""

    @property
    def essence(self) -> tuple[str, int | None, str | None]:
        """Return what two readers agree or disagree on."""
        return self.kind, self.status, self.body


def digest(data: bytes) -> str:
    """Return a short digest of the body as text."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# Ours

_OURS = {
    Reason.TRUNCATED: "cut",
    Reason.HTTP_PROTOCOL: "not HTTP",
    Reason.TOO_LARGE: "too large",
    Reason.BODY_INVALID: "encoding",
    Reason.RESET: "nothing",
    Reason.REDIRECT_LOOP: "redirects",
    Reason.REDIRECT_BLOCKED: "blocked",
}


def ours(urls: Sequence[str], *, follow: bool) -> list[Reading]:
    """Look at each with the check and the dialer that the service uses."""
    return asyncio.run(_ours(urls, follow=follow))


async def _ours(urls: Sequence[str], *, follow: bool) -> list[Reading]:
    via = GuardedDialer(clock=SystemClock(), policy=EgressPolicy())
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(url: str) -> Reading:
        check = HttpCheck(url=Secret(url), redirects=REDIRECTS if follow else 0)
        async with room:
            seen = await check.probe(via, timeout=timedelta(seconds=PATIENCE))
        if isinstance(seen, Failure):
            return Reading(_OURS.get(seen.reason, str(seen.reason)), words=f"{seen.reason}: {seen.detail}")
        assert isinstance(seen, Answer)
        assert seen.evidence.body is not None
        return Reading("whole", seen.evidence.status, digest(seen.evidence.body.text.encode()))

    return await asyncio.gather(*(one(url) for url in urls))


# curl. Its exit codes: https://curl.se/libcurl/c/libcurl-errors.html

_CURL = {
    1: "not HTTP",
    3: "blocked",
    8: "not HTTP",
    7: "unreachable",
    18: "cut",
    23: "encoding",  # the only thing here that cannot be written is what its decoder refuses
    27: "too large",
    43: "not HTTP",  # what follows the chunks
    47: "redirects",
    52: "nothing",
    56: "not HTTP",  # chunks
    61: "encoding",
}


def curl(urls: Sequence[str], *, follow: bool) -> list[Reading]:
    """Look at each with the command: many in one process, and another process after an answer that ends it."""
    readings: list[Reading] = []
    with tempfile.TemporaryDirectory() as folder:
        while len(readings) < len(urls):
            output = Path(folder, str(len(readings)))
            output.mkdir()
            told = _run_curl(urls[len(readings) :], output, follow=follow)
            assert told, "curl said nothing"
            readings += [_of_curl(each, output / str(number)) for number, each in enumerate(told)]
    return readings


def _run_curl(urls: Sequence[str], output: Path, *, follow: bool) -> list[dict[str, object]]:
    """Return what curl says of these, up to one that it ends with: headers that are too large are no memory to it (27)."""
    options = [
        "compressed",
        "silent",
        "globoff",
        'header = "Connection: close"',
        'noproxy = "*"',
        f"max-time = {PATIENCE}",
        *([f"max-redirs = {REDIRECTS}", "location", 'proto-redir = "=http,https"'] if follow else []),
        'write-out = "%{json}\\n"',
    ]
    blocks = [
        "\n".join([f'url = "{url}"', f'output = "{output}/{number}"', *options]) for number, url in enumerate(urls)
    ]
    done = subprocess.run(
        ["curl", "--disable", "--config", "-"],
        input="\nnext\n".join(blocks).encode(),
        capture_output=True,
        check=False,
        timeout=300,
    )
    return [json.loads(line) for line in done.stdout.decode("utf-8", "replace").splitlines()]


def _of_curl(told: dict[str, object], output: Path) -> Reading:
    code = told["exitcode"]
    if code == 0:
        status = told["http_code"]
        assert isinstance(status, int)
        return Reading("whole", status, digest(output.read_bytes() if output.exists() else b""))
    words = str(told["errormsg"])
    assert isinstance(code, int)
    kind = _CURL.get(code, str(code))
    if code == 1 and words.startswith(("Protocol", "The redirect target")):
        kind = "blocked"  # else it speaks of the version or the status of the answer
    return Reading(kind, words=f"{code}: {words}")


# requests


def with_requests(urls: Sequence[str], *, follow: bool) -> list[Reading]:
    """Look at each with the library, a session of its own for each."""

    def one(url: str) -> Reading:
        with requests.Session() as session:
            session.trust_env = False
            session.max_redirects = REDIRECTS
            try:
                answer = session.get(
                    url, allow_redirects=follow, timeout=PATIENCE, headers={"Connection": "close"}, stream=False
                )
            except RequestException as error:
                return Reading(_kind(error), words=_words(error))
            except Exception as error:  # the library lets some of those below it through
                return Reading("crash", words=_words(error))
            return Reading("whole", answer.status_code, digest(answer.content))

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, urls))


def _kind(error: RequestException) -> str:
    text = repr(error)
    match error:
        case TooManyRedirects():
            return "redirects"
        case InvalidSchema() | InvalidURL():
            return "blocked"
        case ContentDecodingError():
            return "encoding"
        case InvalidHeader():
            return "not HTTP"
        case Timeout():
            return "timeout"
        case ChunkedEncodingError():
            return "not HTTP" if "InvalidChunkLength" in text and "got length b''" not in text else "cut"
        case _:
            pass
    if "RemoteDisconnected" in text:
        return "nothing"
    if "NewConnectionError" in text:
        return "unreachable"
    if "LineTooLong" in text or "got more than" in text:
        return "too large"
    if "BadStatusLine" in text or "UnknownProtocol" in text or "InvalidHeader" in text:
        return "not HTTP"
    return type(error).__name__


def _words(error: Exception) -> str:
    inner: BaseException = error
    while inner.args and isinstance(inner.args[-1], BaseException):
        inner = inner.args[-1]
    if isinstance(inner, urllib3.exceptions.HTTPError) and inner.__cause__ is not None:
        inner = inner.__cause__
    return f"{type(error).__name__}: {type(inner).__name__} {inner}"[:160]


READERS: dict[str, Callable[..., list[Reading]]] = {"ours": ours, "curl": curl, "requests": with_requests}

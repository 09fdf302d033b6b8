"""Observations for tests, naming only what matters: `an_answer(503, json={"status": "ok"})`."""

import json as json_text
from datetime import UTC, datetime, timedelta

from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import (
    Answer,
    Body,
    Certificate,
    Evidence,
    Failure,
    Hop,
    Observation,
    Phases,
    Seen,
    TlsFacts,
)

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def an_observation(seen: Seen, *, elapsed: timedelta = timedelta(milliseconds=43), at: datetime = NOON) -> Observation:
    """Return an observation of the monitor `shop` from the region `local`."""
    return Observation(monitor_id="shop", region="local", due=at, at=at, elapsed=elapsed, seen=seen)


def an_answer(
    status: int | None = 200,
    *,
    body: Body | None = None,
    json: object = ...,
    text: str | None = None,
    content_type: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    phases: Phases | None = None,
    certificate: Certificate | None = None,
    tls_version: str = "TLSv1.3",
    redirects: tuple[Hop, ...] = (),
    address: str | None = "192.0.2.10",
    elapsed: timedelta = timedelta(milliseconds=43),
    at: datetime = NOON,
) -> Observation:
    """Return the observation of an answer; its body is `body`, or made from `json` or `text`, else empty."""
    if body is None and json is not ...:
        written = json_text.dumps(json)
        body = Body(
            content_type=content_type or "application/json",
            text=written,
            size=len(written.encode()),
            document=json,
            is_document=True,
        )
    elif body is None:
        text = text or ""
        body = Body(content_type=content_type or "text/plain", text=text, size=len(text.encode()))
    evidence = Evidence(
        addresses=(address,) if address else (),
        address=address,
        phases=phases or Phases(),
        http_version=None if status is None else "1.1",
        status=status,
        headers=headers,
        body=body,
        tls=TlsFacts(version=tls_version, chain=(certificate,)) if certificate else None,
        redirects=redirects,
    )
    return an_observation(Answer(evidence), elapsed=elapsed, at=at)


def a_failure(
    reason: Reason, detail: str = "Connection refused", *, phase: str | None = None, at: datetime = NOON
) -> Observation:
    """Return the observation of a target that did not speak."""
    return an_observation(Failure(reason, detail, phase=phase), at=at)


def a_certificate(expires: datetime, *, issuer: str = "CN=Example CA") -> Certificate:
    """Return a server's certificate that was issued 90 days before it expires."""
    return Certificate(
        subject="CN=shop.example",
        issuer=issuer,
        names=("shop.example",),
        not_before=expires - timedelta(days=90),
        not_after=expires,
        fingerprint="00" * 32,
    )

"""Webhook: the contract, SEED's body to the letter, and the signature."""

import hashlib
import hmac
import json
import math
import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from laya_uptime.adapters.notifiers.webhook import WebhookNotifier, encode
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Notifier, Reach
from laya_uptime.testing.http_peer import HttpPeer
from laya_uptime.testing.notifier_contract import HttpNotifierContract, an_alert, failure


class TestWebhook(HttpNotifierContract):
    secrets = ("p4thcanary", "qu3rycanary", "s1gningcanary", "h34dercanary")

    def notifier_at(self, port: int) -> Notifier:
        return WebhookNotifier(
            url=Secret(f"http://127.0.0.1:{port}/hook/p4thcanary?key=qu3rycanary"),
            secret=Secret("s1gningcanary"),
            headers={"Authorization": Secret("Bearer h34dercanary")},
        )

    async def test_the_configured_headers_are_sent(self, notifier: Notifier, peer: HttpPeer, via: Reach) -> None:
        await notifier.deliver(an_alert(), via)

        [request] = peer.requests
        assert request.headers["authorization"] == "Bearer h34dercanary"
        assert request.target == "/hook/p4thcanary?key=qu3rycanary"

    async def test_a_receiver_can_verify_the_signature(self, notifier: Notifier, peer: HttpPeer, via: Reach) -> None:
        await notifier.deliver(an_alert(), via)

        [request] = peer.requests
        header = request.headers["x-laya-signature"]
        now = int(via.clock.now().timestamp())
        assert is_genuine(request.body, header, "s1gningcanary", now=now)
        assert not is_genuine(request.body + b" ", header, "s1gningcanary", now=now), "a changed body"
        assert not is_genuine(request.body, header, "another", now=now), "another secret"
        assert not is_genuine(request.body, header, "s1gningcanary", now=now + 301), "a replay"
        later = header.replace(f"t={header[2:12]}", f"t={int(header[2:12]) + 300}")
        assert not is_genuine(request.body, later, "s1gningcanary", now=now + 300), "a replay with a new time"

    async def test_the_code_on_the_page_for_receivers_verifies_it(
        self, notifier: Notifier, peer: HttpPeer, via: Reach
    ) -> None:
        page = Path(__file__).parents[3] / "docs" / "reference" / "channels.md"
        [code] = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        names: dict[str, Any] = {}
        exec(code, names)

        await notifier.deliver(an_alert(), via)

        [request] = peer.requests
        header = request.headers["x-laya-signature"]
        assert names["is_genuine"](request.body, header, "s1gningcanary")
        assert not names["is_genuine"](request.body, header, "another")


def is_genuine(body: bytes, header: str, secret: str, *, now: int) -> bool:
    """Verify as the page for receivers says, written anew: HMAC as RFC 2104 defines it, without Python's hmac."""
    parts = dict(part.split("=", 1) for part in header.split(","))
    if abs(now - int(parts["t"])) > 300:
        return False
    key = secret.encode().ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + parts["t"].encode() + b"." + body).digest()
    expected = hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest()
    return hmac.compare_digest(expected, parts["v1"])


def test_the_body_has_seeds_keys_and_values_to_the_letter() -> None:
    body: dict[str, Any] = json.loads(encode(an_alert()))

    seed = {key: body[key] for key in ("service", "status", "url", "message", "timestamp", "statistics")}
    assert json.dumps(seed) == json.dumps({
        "service": "AI Service",
        "status": "failure",
        "url": "http://localhost:8000/api/v1/health/liveness",
        "message": "Service is down (3 consecutive failures)",
        "timestamp": "2026-02-17T03:30:00+01:00",
        "statistics": {
            "total_checks": 150,
            "total_failures": 3,
            "consecutive_failures": 3,
            "uptime_percentage": 98.0,
            "avg_response_time_ms": 45,
        },
    })  # fmt: skip
    assert list(body)[:6] == list(seed)


def test_new_keys_stand_beside_them() -> None:
    evidence = {"status": 500, "headers": [["server", "nginx"]]}

    body = json.loads(encode(an_alert(evidence=evidence, components=("disk_space warning, low",))))

    assert {key: body[key] for key in list(body)[6:]} == {
        "reason": "refused",
        "detail": "Connection refused",
        "components": ["disk_space warning, low"],
        "transition": "down",
        "incident_id": "ai-service-20260217T023000000Z",
        "dedup_key": "ai-service-20260217T023000000Z/ops",
        "evidence": evidence,
    }


def nested(depth: int) -> dict[str, object]:
    document: dict[str, object] = {}
    for _ in range(depth):
        document = {"deeper": document}
    return document


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param({"latency": math.nan, "size": math.inf}, id="numbers that JSON has not"),
        pytest.param({"text": "cut \ud83d here", "\udfff": 1}, id="lone surrogates"),
        pytest.param({"body": "x" * 1_000_000}, id="a megabyte"),
        pytest.param(nested(5000), id="nested 5000 deep"),
        pytest.param({1: "a number for a key"}, id="a key that is no text"),
    ],
)
def test_evidence_never_makes_a_body_that_a_receiver_refuses(evidence: dict[str, object]) -> None:
    body = encode(an_alert(evidence=evidence))

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    document = json.loads(body, parse_constant=refuse)
    json.dumps(document, ensure_ascii=False).encode("utf-8")
    assert document["service"] == "AI Service"
    assert len(body) < 300_000


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"url": ""}, "`url`: the URL is empty"),
        ({"url": "file:///etc/passwd"}, "`url`: only http"),
        ({"url": "https://h/\r\nX: y"}, "`url`: the URL contains"),
        ({"url": "https://h/\x00"}, "`url`: the URL contains"),
        ({"headers": {"X Y": "1"}}, "`headers`: a header's name"),
        ({"headers": {"X\r\nY": "1"}}, "`headers`: a header's name"),
        ({"headers": {"X-Y": "c4nary\r\nZ: 1"}}, "`headers`: the value of the header X-Y"),
        ({"headers": {"X-Y": "c4nary\x00"}}, "`headers`: the value of the header X-Y"),
        ({"headers": {"X-Y": "c4nary \u2028"}}, "`headers`: the value of the header X-Y"),
        ({"headers": {"Content-Length": "5"}}, "`headers`: the header Content-Length cannot be set"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "`headers`: the header Transfer-Encoding cannot be set"),
        ({"headers": {"idempotency-key": "1"}}, "`headers`: the header idempotency-key cannot be set"),
        ({"headers": {"X-Laya-Signature": "1"}}, "`headers`: the header X-Laya-Signature cannot be set"),
        ({"secret": ""}, "`secret` is empty"),
    ],
)
def test_j08_an_option_that_could_bend_the_request_is_refused(options: dict[str, Any], sentence: str) -> None:
    url = Secret(options.get("url", "https://host/"))
    headers = {name: Secret(value) for name, value in options.get("headers", {}).items()}
    secret = Secret(options["secret"]) if "secret" in options else None

    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")) as caught:
        WebhookNotifier(url=url, headers=headers, secret=secret)

    assert "c4nary" not in str(caught.value)


async def test_a_private_authority_is_trusted_where_it_is_named(
    via: Reach, server_tls: ssl.SSLContext, authority_file: str
) -> None:
    async with HttpPeer(tls=server_tls) as peer:
        await WebhookNotifier(url=Secret(peer.url("/hook")), ca_file=authority_file).deliver(an_alert(), via)

        assert len(peer.requests) == 1

        error = await failure(WebhookNotifier(url=Secret(peer.url("/c4nary"))), via)

        assert error.retry
        assert "certificate" in error.cause
        assert len(peer.requests) == 1, "sent to a stranger"


async def test_s04_a_metadata_address_is_refused_for_good(via: Reach) -> None:
    notifier = WebhookNotifier(url=Secret("http://169.254.169.254/latest/c4nary"))

    error = await failure(notifier, via)

    assert not error.retry
    assert "c4nary" not in str(error)


async def test_a_file_of_authorities_that_is_missing_is_said(via: Reach, tmp_path: Path) -> None:
    notifier = WebhookNotifier(url=Secret("https://127.0.0.1:1/"), ca_file=str(tmp_path / "none.pem"))

    error = await failure(notifier, via)

    assert error.retry
    assert "certificate authorities" in error.cause

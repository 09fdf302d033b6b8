"""What makes a certificate weak, and how a verdict says it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from laya_uptime.domain.certificates import key_words, weakness
from laya_uptime.domain.facts import evidence_of
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Certificate, Evidence, Outcome, TlsFacts
from laya_uptime.testing.observations import NOON, a_certificate, an_answer

DAY = timedelta(days=1)


def certificate(
    key: str = "RSA", bits: int | None = 2048, digest: str = "SHA-256", *, subject: str = "CN=shop.example"
) -> Certificate:
    return replace(a_certificate(NOON + 90 * DAY), key=key, bits=bits, digest=digest, subject=subject)


@pytest.mark.parametrize(
    ("leaf", "sentence"),
    [
        (certificate(), None),
        (certificate(bits=2047), "certificate has a weak key: RSA of 2047 bits, 2048 are the least"),
        (certificate("EC", 224), None),
        (certificate("EC", 192), "certificate has a weak key: EC of 192 bits, 224 are the least"),
        (certificate("Ed25519", None, ""), None),
        (certificate("", None, ""), None),
        (certificate(digest="SHA-1"), "certificate has a weak signature: SHA-1 can be forged"),
        (certificate(digest="MD5"), "certificate has a weak signature: MD5 can be forged"),
        (certificate(digest="SHA-224"), None),
        (certificate(digest="SHA-1", subject="CN=Example CA"), None),  # its own signature
    ],
)
def test_a_certificate_is_weak_by_its_key_or_its_signature(leaf: Certificate, sentence: str | None) -> None:
    assert weakness([leaf]) == sentence


def test_a_weak_authority_is_named() -> None:
    between = certificate(digest="SHA-1", subject="CN=Old CA")
    root = certificate(bits=1024, subject="CN=Example CA")

    assert (
        weakness([certificate(), between]) == "issuing certificate CN=Old CA has a weak signature: SHA-1 can be forged"
    )
    assert weakness([certificate(), root]) == (
        "issuing certificate CN=Example CA has a weak key: RSA of 1024 bits, 2048 are the least"
    )
    assert weakness([]) is None


@pytest.mark.parametrize(
    ("days_left", "status", "expected"),
    [
        pytest.param(90, 200, (Outcome.DEGRADED, Reason.CERT_WEAK), id="weak alone"),
        pytest.param(3, 200, (Outcome.DEGRADED, Reason.CERT_EXPIRING), id="what expires speaks first"),
        pytest.param(90, 500, (Outcome.DOWN, Reason.HTTP_STATUS), id="the worst speaks"),
    ],
)
def test_a_weak_certificate_is_degraded(days_left: int, status: int, expected: tuple[Outcome, Reason]) -> None:
    weak = replace(a_certificate(NOON + days_left * DAY), key="RSA", bits=1024)

    verdict = judge(an_answer(status, certificate=weak), Rules())

    assert (verdict.outcome, verdict.reason) == expected


def test_a_weak_certificate_is_degraded_also_where_nobody_is_warned_of_expiry() -> None:
    weak = replace(a_certificate(NOON + 90 * DAY), key="RSA", bits=1024)

    assert judge(an_answer(certificate=weak), Rules(cert_warning=timedelta(0))).reason is Reason.CERT_WEAK


def test_evidence_tells_the_key_and_what_was_said() -> None:
    told = evidence_of(Evidence(tls=TlsFacts(version="TLSv1.3", chain=(certificate(),)), said="x" * 500))

    assert told["tls"] == {
        "version": "TLSv1.3",
        "subject": "CN=shop.example",
        "issuer": "CN=Example CA",
        "expires": (NOON + 90 * DAY).isoformat(),
        "key": "RSA 2048",
        "signature": "SHA-256",
    }
    assert len(str(told["said"])) == 200
    assert "said" not in evidence_of(Evidence())
    assert key_words(certificate("Ed25519", None)) == "Ed25519"

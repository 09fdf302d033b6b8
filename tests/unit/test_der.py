"""Keys and signatures read from DER, held against what the library says that made them, and against garbage."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from laya_uptime.adapters.net.der import Strength, strength

RSA = rsa.generate_private_key(65537, 2048)


def certificate(key: Any, digest: Any = None, **options: Any) -> bytes:  # noqa: ANN401
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.example")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(2**150).not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    return (
        builder.not_valid_after(datetime(2051, 1, 1, tzinfo=UTC))
        .sign(key, digest, **options)
        .public_bytes(Encoding.DER)
    )


def pss(digest: hashes.HashAlgorithm) -> padding.PSS:
    return padding.PSS(mgf=padding.MGF1(digest), salt_length=padding.PSS.DIGEST_LENGTH)


@pytest.mark.parametrize(
    ("der", "expected"),
    [
        (certificate(RSA, hashes.SHA256()), Strength("RSA", 2048, "SHA-256")),
        (certificate(rsa.generate_private_key(3, 1024), hashes.SHA384()), Strength("RSA", 1024, "SHA-384")),
        (certificate(RSA, hashes.SHA512(), rsa_padding=pss(hashes.SHA512())), Strength("RSA", 2048, "SHA-512")),
        (certificate(ec.generate_private_key(ec.SECP192R1()), hashes.SHA224()), Strength("EC", 192, "SHA-224")),
        (certificate(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()), Strength("EC", 256, "SHA-256")),
        (certificate(ec.generate_private_key(ec.SECP521R1()), hashes.SHA512()), Strength("EC", 521, "SHA-512")),
        (certificate(ed25519.Ed25519PrivateKey.generate()), Strength("Ed25519", None, "")),
        (certificate(ed448.Ed448PrivateKey.generate()), Strength("Ed448", None, "")),
    ],
)
def test_a_certificate_tells_its_key_and_what_was_signed(der: bytes, expected: Strength) -> None:
    assert strength(der) == expected


@pytest.mark.parametrize(
    ("oid", "digest"),
    [
        ("2a864886f70d010105", "SHA-1"),
        ("2a864886f70d010104", "MD5"),
        ("2a864886f70d010102", "MD2"),
        ("2a864886f70d01017f", ""),
    ],
)
def test_old_signatures_are_known_by_name(oid: str, digest: str) -> None:
    der = certificate(RSA, hashes.SHA256()).replace(bytes.fromhex("2a864886f70d01010b"), bytes.fromhex(oid))

    assert strength(der) == Strength("RSA", 2048, digest)


def test_pss_without_parameters_is_sha_1() -> None:
    der = certificate(RSA, hashes.SHA256())
    renamed = der.replace(bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d01010a"))

    assert strength(renamed).digest == "SHA-1"


@pytest.mark.parametrize(
    ("whole", "hollow"),
    [
        ("300d06092a864886f70d0101010500", "3000060b0000000000000000000000"),
        ("a00f300d06096086480165030402020500", "a00f3000060b0000000000000000000000"),
    ],
    ids=["the algorithm of the key", "the digest of PSS"],
)
def test_an_element_with_nothing_in_it_is_unknown(whole: str, hollow: str) -> None:
    der = certificate(RSA, hashes.SHA384(), rsa_padding=pss(hashes.SHA384()))
    assert bytes.fromhex(whole) in der

    assert strength(der.replace(bytes.fromhex(whole), bytes.fromhex(hollow))) == Strength()


@given(st.binary(max_size=400))
def test_garbage_is_unknown(data: bytes) -> None:
    assert isinstance(strength(data), Strength)


@given(st.integers(min_value=0, max_value=700), st.integers(min_value=0, max_value=255))
def test_a_certificate_with_a_wrong_byte_never_raises(place: int, byte: int) -> None:
    der = bytearray(_SAMPLE)
    der[place % len(der)] = byte

    assert isinstance(strength(bytes(der)), Strength)
    assert isinstance(strength(bytes(der[:place])), Strength)


_SAMPLE = certificate(RSA, hashes.SHA256())

"""Real authorities and certificates, good and bad, and the dialer that the tests of all checks share."""

import ipaddress
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.ports import Reach

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = timedelta(days=1)


@dataclass
class Authority:
    """A certificate authority whose own certificate is in `ca_file`."""

    certificate: x509.Certificate
    key: Key
    ca_file: Path
    folder: Path
    issued: int = 0

    def context(
        self,
        *names: str,
        starts: timedelta = -DAY,
        ends: timedelta = 90 * DAY,
        self_signed: bool = False,
        with_root: bool = False,
        key: Key | None = None,
        digest: hashes.SHA1 | None = None,
    ) -> ssl.SSLContext:
        """Return a server's context with a certificate for these names, valid from and until then, counted from now."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        issuer = (_name(names[0] if names else "nobody"), key) if self_signed else (self.certificate.subject, self.key)
        certificate = _sign(names, key, issuer, starts=starts, ends=ends, is_authority=False)
        if digest is not None:
            certificate = _signed_anew(certificate, issuer[1], digest)
        chain = [certificate, *([self.certificate] if with_root else [])]
        self.issued += 1
        pem = self.folder / f"server-{self.issued}.pem"
        pem.write_bytes(_pem(key) + b"".join(one.public_bytes(Encoding.PEM) for one in chain))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.load_cert_chain(pem)
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _sign(
    names: tuple[str, ...],
    key: Key,
    issuer: tuple[x509.Name, Key],
    *,
    starts: timedelta,
    ends: timedelta,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)  # noqa: TID251  certificates are dated by the machine's clock
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(names[0] if names else "nobody"))
        .issuer_name(issuer[0])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if names and not is_authority:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False
        )
    return builder.sign(issuer[1], hashes.SHA256())


def _signed_anew(certificate: x509.Certificate, key: Key, digest: hashes.SHA1) -> x509.Certificate:
    """The same certificate with a signature that the library makes no more. The key is RSA, so no length changes."""
    assert isinstance(key, rsa.RSAPrivateKey)
    with_sha256, with_sha1 = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
    renamed = certificate.public_bytes(Encoding.DER).replace(with_sha256, with_sha1)
    signed = x509.load_der_x509_certificate(renamed).tbs_certificate_bytes
    signature = key.sign(signed, padding.PKCS1v15(), digest)
    return x509.load_der_x509_certificate(renamed[: -len(signature)] + signature)


def _authority(folder: Path, name: str, *, key: Key | None = None) -> Authority:
    key = key or ec.generate_private_key(ec.SECP256R1())
    certificate = _sign((name,), key, (_name(name), key), starts=-900 * DAY, ends=900 * DAY, is_authority=True)
    folder.mkdir()
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    return Authority(certificate, key, ca_file, folder)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that the checks in these tests trust."""
    return _authority(tmp_path_factory.mktemp("tls") / "trusted", "Trusted Authority")


@pytest.fixture(scope="session")
def old_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority with an RSA key, as old software wants it."""
    key = rsa.generate_private_key(65537, 2048)
    return _authority(tmp_path_factory.mktemp("tls") / "old", "Old Authority", key=key)


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return _authority(tmp_path_factory.mktemp("tls") / "unknown", "Unknown Authority")


@pytest.fixture
def via(reach: GuardedDialer) -> Reach:
    """What a contract of `laya_uptime.testing` asks for."""
    return reach


@pytest.fixture
def reach() -> GuardedDialer:
    """The real dialer under the policy that people get when they configure nothing."""
    return GuardedDialer(clock=SystemClock(), policy=EgressPolicy())


_CONNECTED: list[str] = []
_LISTENING = False


def _hook(event: str, args: tuple[object, ...]) -> None:
    if _LISTENING and event == "socket.connect" and isinstance(args[1], tuple):
        _CONNECTED.append(str(args[1][0]))


@pytest.fixture(scope="session")
def _audit() -> None:
    sys.addaudithook(_hook)  # there is no way to remove one


@pytest.fixture
def connected(_audit: None) -> Iterator[list[str]]:
    """Every address that any socket of this process was told to connect to during the test."""
    global _LISTENING  # noqa: PLW0603  the hook outlives every fixture
    _CONNECTED.clear()
    _LISTENING = True
    yield _CONNECTED
    _LISTENING = False


@pytest.fixture
def open_sockets() -> Callable[[], int]:
    """Return how many sockets this process has open."""

    def count() -> int:
        links = []
        for entry in Path("/proc/self/fd").iterdir():
            try:
                links.append(str(entry.readlink()))
            except OSError:  # the one that lists them
                continue
        return sum(link.startswith("socket:") for link in links)

    return count

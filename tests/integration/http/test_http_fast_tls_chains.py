"""Chains that a lenient library could let pass: the verdict is that of the standard library, with the extra as without."""

import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net import fast_tls
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.result import Answer, Failure, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.testing.target import ScriptedTarget, says

pytest.importorskip("utls", reason="the extra fast-tls is not installed")

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
CLOCK = SystemClock()
DAY = timedelta(days=1)
HOST = "www.shop.test"
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def a_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def usage(*allowed: str) -> x509.KeyUsage:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign"
        " encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: name in allowed for name in names.split()})


@dataclass
class Part:
    """One certificate of a chain. `is_authority` None: it says nothing of that."""

    name: str
    is_authority: bool | None = True
    key: Key = field(default_factory=a_key)
    extensions: tuple[x509.ExtensionType, ...] = ()
    critical: bool = False
    days: tuple[int, int] = (-1, 30)

    def signed_by(self, issuer: "Part") -> x509.Certificate:
        now = datetime.now(UTC)  # noqa: TID251  certificates are dated by the machine's clock
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer.name)]))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + self.days[0] * DAY)
            .not_valid_after(now + self.days[1] * DAY)
        )
        if self.is_authority is not None:
            constraints = x509.BasicConstraints(ca=self.is_authority, path_length=None)
            builder = builder.add_extension(constraints, critical=True)
        for extension in self.extensions:
            builder = builder.add_extension(extension, critical=self.critical)
        return builder.sign(issuer.key, hashes.SHA256())


@dataclass
class Chain:
    """Who signed for whom, and the host that is asked for."""

    root: Part = field(default_factory=lambda: Part("root"))
    middle: Part | None = None
    names: tuple[str, ...] = (HOST,)
    common_name: str = "leaf"
    extensions: tuple[x509.ExtensionType, ...] = ()
    critical: bool = False
    host: str = HOST


def through(*extensions: x509.ExtensionType, days: tuple[int, int] = (-1, 30), key: Key | None = None) -> Chain:
    return Chain(middle=Part("middle", extensions=extensions, critical=True, days=days, key=key or a_key()))


CHAINS: dict[str, Callable[[], Chain]] = {
    "fine": Chain,
    "fine, with one between": through,
    "for clients": lambda: Chain(extensions=(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),)),
    "for any use": lambda: Chain(extensions=(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),)),
    "key for signing certificates": lambda: Chain(extensions=(usage("key_cert_sign"),), critical=True),
    "unknown and critical": lambda: Chain(
        extensions=(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"),), critical=True
    ),
    "common name alone": lambda: Chain(names=(), common_name=HOST),
    "wildcard": lambda: Chain(names=("*.shop.test",)),
    "wildcard in part": lambda: Chain(names=("w*.shop.test",)),
    "wildcard of the top": lambda: Chain(names=("*.test",), host="shop.test"),
    "wildcard two levels up": lambda: Chain(names=("*.test",)),
    "wildcard of all": lambda: Chain(names=("*",), host="shop"),
    "underscore under a wildcard": lambda: Chain(names=("*.shop.test",), host="a_b.shop.test"),
    "trailing dot": lambda: Chain(names=("www.shop.test.",)),
    "address as a name": lambda: Chain(names=("127.0.0.1",), host="127.0.0.1"),
    "root that does not say so": lambda: Chain(root=Part("root", is_authority=None)),
    "root that is none": lambda: Chain(root=Part("root", is_authority=False)),
    "root that has expired": lambda: Chain(root=Part("root", days=(-9, -1))),
    "middle that does not say so": lambda: Chain(middle=Part("middle", is_authority=None)),
    "middle that is none": lambda: Chain(middle=Part("middle", is_authority=False)),
    "middle that may not sign": lambda: through(usage("digital_signature")),
    "middle for clients": lambda: through(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])),
    "middle that has expired": lambda: through(days=(-9, -1)),
    "middle with a short key": lambda: through(key=rsa.generate_private_key(65537, 1024)),
    "other names permitted": lambda: through(x509.NameConstraints([x509.DNSName("other.test")], None)),
    "this name excluded": lambda: through(x509.NameConstraints(None, [x509.DNSName("shop.test")])),
    "addresses excluded": lambda: through(
        x509.NameConstraints(None, [x509.IPAddress(ipaddress.IPv4Network("0.0.0.0/0"))])
    ),
}


def served(chain: Chain, folder: Path) -> tuple[ssl.SSLContext, str]:
    """The server's context, and the file of the authority."""
    issuer = chain.middle or chain.root
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in chain.names])
    leaf = Part(chain.common_name, is_authority=False, critical=chain.critical)
    leaf.extensions = (*([names] if chain.names else []), *chain.extensions)
    certificates = [leaf.signed_by(issuer)]
    if chain.middle is not None:
        certificates.append(chain.middle.signed_by(chain.root))
    pem = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(pem + b"".join(each.public_bytes(Encoding.PEM) for each in certificates))
    (folder / "ca.pem").write_bytes(chain.root.signed_by(chain.root).public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.load_cert_chain(folder / "server.pem")
    return context, str(folder / "ca.pem")


async def look(target: ScriptedTarget, host: str, ca_file: str) -> Seen:
    async def resolve(name: str) -> tuple[str, ...]:
        return ("127.0.0.1",)

    reach = GuardedDialer(clock=CLOCK, policy=EgressPolicy(), resolver=resolve)
    check = HttpCheck(url=Secret(target.url(host=host)), ca_file=ca_file)
    return await check.probe(reach, timeout=timedelta(seconds=10))


@pytest.mark.parametrize("name", CHAINS)
async def test_a_chain_is_judged_as_the_standard_library_judges_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = CHAINS[name]()
    context, ca_file = served(chain, tmp_path)
    async with ScriptedTarget(says(FINE), tls=context) as target:
        fast = await look(target, chain.host, ca_file)
        monkeypatch.setattr(fast_tls, "library", lambda: None)
        slow = await look(target, chain.host, ca_file)

    assert type(fast) is type(slow), (fast, slow)
    assert fast.evidence.status == slow.evidence.status
    if isinstance(fast, Failure) and isinstance(slow, Failure):
        assert (fast.reason, fast.detail) == (slow.reason, slow.detail)
    if name.startswith("fine"):
        assert isinstance(fast, Answer)

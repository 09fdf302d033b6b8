"""The product's own path from the text of a configuration to a verdict, and the certificates that servers show here.

A row names what a server does and what comes of it: "down truncated: within its headers" is the outcome, the reason
and some words of the detail; "up: alive" is the outcome and the label. Outcome and reason are exact.
"""

import asyncio
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.config.load import decode
from laya_uptime.domain.result import Outcome, Result
from laya_uptime.engine.once import look_once
from laya_uptime.testing.nameserver import Asked, ScriptedNameServer

PATIENCE = "30s"  # only a failing row, or a very slow machine, ever waits so long
DAY = timedelta(days=1)
Look = Callable[..., Awaitable[Result]]


@pytest.fixture
def look() -> Look:
    """Write a file with one monitor of these settings, read it as `serve` does, and look once."""

    async def look(**settings: object) -> Result:
        text = json.dumps({"monitors": {"it": {"timeout": PATIENCE, **settings}}}).replace("$", "$$")
        configuration = decode(text, source="row.yaml", environ={})
        clock = SystemClock()
        troubles: list[str] = []
        (found,) = await look_once(
            configuration.monitors,
            via=GuardedDialer(clock=clock, policy=configuration.egress),
            clock=clock,
            trouble=troubles.append,
        )
        assert troubles == []  # a check that fails by itself would be no verdict about the target
        return found.result

    return look


@pytest.fixture
def told() -> Callable[[Result, str], str]:
    """Say a verdict as rows do, the detail cut down to the expected words where it has them."""

    def tell(result: Result, expected: str) -> str:
        verdict = result.verdict
        _, colon, words = expected.partition(": ")
        if verdict.outcome is Outcome.UP:
            return f"up: {verdict.label}" if colon else "up"
        detail = words if words in verdict.detail else verdict.detail
        return f"{verdict.outcome} {verdict.reason}: {detail}" if colon else f"{verdict.outcome} {verdict.reason}"

    return tell


@pytest.fixture
async def names() -> AsyncIterator[str]:
    """A name server, by address and port, for which every name under .test is this machine, but for a few that are not.

    metadata.test is the address where clouds keep credentials; nowhere.test is no name at all.
    """

    async def script(asked: Asked) -> None:
        if asked.name == "nowhere.test":
            await asked.send(asked.reply(rcode="NXDOMAIN", soa=True))
        elif asked.record == "A":
            address = "169.254.169.254" if asked.name == "metadata.test" else "127.0.0.1"
            await asked.send(asked.reply((asked.name, "A", address)))
        else:
            await asked.send(asked.reply(soa=True))

    async with ScriptedNameServer(script) as server:
        yield f"127.0.0.1:{server.port}"


@dataclass
class Authorities:
    """One authority that the rows trust, one below it, and one that nobody knows."""

    folder: Path
    trusted: trustme.CA = field(default_factory=trustme.CA)
    unknown: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.below = self.trusted.create_child_ca()
        self.ca_file = self.folder / "ca.pem"
        self.trusted.cert_pem.write_to_path(str(self.ca_file))

    def server(
        self,
        *names: str,
        by: trustme.CA | None = None,
        starts: timedelta = -DAY,
        ends: timedelta = 90 * DAY,
        leave_out: int = 0,
        add: trustme.CA | None = None,
    ) -> ssl.SSLContext:
        """Return a server's context whose certificate is for these names; `leave_out` so many issuers, `add` a root."""
        now = datetime.now(UTC)  # noqa: TID251  certificates are dated by the machine's clock
        leaf = (by or self.trusted).issue_cert(*names, not_before=now + starts, not_after=now + ends)
        chain = [pem.bytes() for pem in leaf.cert_chain_pems]
        chain = chain[: len(chain) - leave_out] + ([add.cert_pem.bytes()] if add else [])
        return self._context(leaf.private_key_pem.bytes(), *chain)

    def made(
        self,
        *names: str,
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
        self_signed: bool = False,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        by_a_server: bool = False,
    ) -> ssl.SSLContext:
        """Return a server's context with a certificate that no sound authority would issue."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(self.trusted.cert_pem.bytes())
        issuer_key = load_pem_private_key(self.trusted.private_key_pem.bytes(), None)
        chain: list[bytes] = []
        if by_a_server:
            other = self.trusted.issue_cert("other.test")
            chain = [other.cert_chain_pems[0].bytes()]
            issuer = x509.load_pem_x509_certificate(chain[0])
            issuer_key = load_pem_private_key(other.private_key_pem.bytes(), None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
        own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        now = datetime.now(UTC)  # noqa: TID251  see above
        builder = (
            x509.CertificateBuilder()
            .subject_name(own)
            .issuer_name(own if self_signed else issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + 90 * DAY)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if names:
            alternative = [x509.IPAddress(ipaddress.ip_address(name)) for name in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        certificate = builder.sign(key if self_signed else issuer_key, hashes.SHA256())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self._context(pem, certificate.public_bytes(Encoding.PEM), *chain)

    def _context(self, *pems: bytes) -> ssl.SSLContext:
        file = self.folder / "server.pem"
        file.write_bytes(b"".join(pems))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.load_cert_chain(file)
        return context


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    """Authorities, and the certificates that they issue."""
    return Authorities(tmp_path_factory.mktemp("authorities"))


@pytest.fixture
def closed_port() -> int:
    """A port where nobody listens."""
    with asyncio.Runner() as runner:
        server = runner.run(asyncio.start_server(lambda _, __: None, "127.0.0.1", 0))
        port: int = server.sockets[0].getsockname()[1]
        server.close()
    return port

"""TLS that keeps the evidence: contexts, certificate facts and exact reasons, also for certificates that fail.

The standard library verifies; what was presented is read from the chain it keeps even when it refused it
(`get_unverified_chain`, private before Python 3.13). No secret passes through here.
"""

import hashlib
import os
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from laya_uptime.adapters.net.der import strength
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Certificate, TlsFacts
from laya_uptime.ports import ClientCertificate

if TYPE_CHECKING:
    from cryptography import x509

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_CERTIFICATES = 10
_MOST_NAMES = 100

# Name attributes that people look for, by OpenSSL's long names; all others are left out.
_ATTRIBUTES = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "countryName": "C",
}

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_EXPIRED, _NOT_YET_VALID = {10}, {9}
_SELF_SIGNED, _WRONG_NAME, _WEAK = {18, 19}, {62, 64}, {66, 67, 68}
_NO_ISSUER = {2, 20, 21}

# The words for other faults of a handshake, by OpenSSL's reason.
_HANDSHAKE_WORDS = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS on this port",
    "HTTP_REQUEST": "the server does not speak TLS on this port",
    "PACKET_LENGTH_TOO_LONG": "the server does not speak TLS on this port",
    "RECORD_LAYER_FAILURE": "the server does not speak TLS on this port",
    "UNSUPPORTED_PROTOCOL": "no common TLS version (1.2 or newer is needed)",
    "TLSV1_ALERT_PROTOCOL_VERSION": "no common TLS version (1.2 or newer is needed)",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server refused the handshake",
    "TLSV1_UNRECOGNIZED_NAME": "the server does not know this host name",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a client certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "the server did not accept our certificate",
    "EXCESSIVE_MESSAGE_SIZE": "the server's handshake is too large",
    "DH_KEY_TOO_SMALL": "the server's key exchange is too weak",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": "the server has no secure renegotiation",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What makes one context another; see `make_context`."""

    ca_file: str | None = None
    insecure: bool = False
    speaks_http: bool = True
    admits_weak: bool = False
    client: ClientCertificate | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Return the files that a context with these options is made from."""
        client = () if self.client is None else (self.client.certificate, self.client.key)
        return tuple(file for file in (self.ca_file, *client) if file is not None)


class UselessFile(OSError):
    """A file that TLS needs cannot be used. The text is one plain sentence without its full stop."""


def make_context(options: Options) -> ssl.SSLContext:
    """Return a client context: TLS 1.2 or newer, chain and name verified unless `insecure`.

    `ca_file` replaces the system's authorities. `speaks_http` offers http/1.1 by ALPN (RFC 7301), which a server of
    another protocol may refuse. `admits_weak` lets weak keys and signatures pass, for who judges them itself; the
    ciphers stay the same. `client` is shown to servers that ask. Raise UselessFile where a file cannot be used.
    """
    # Not create_default_context(): it would write key material to wherever SSLKEYLOGFILE points.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # Some Pythons (Debian 12's 3.11.2) set this by themselves, and an answer cut in the middle would look complete.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    if options.speaks_http:
        context.set_alpn_protocols(["http/1.1"])
    if options.admits_weak:
        # The level alone would bring back ciphers that nobody should offer any more; TLS 1.3 has its own list.
        names = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"]
        context.set_ciphers(":".join([*names, "@SECLEVEL=0"]))
    if options.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif options.ca_file is not None:
        with _blaming("the file of certificate authorities", "holds no certificate"):
            context.load_verify_locations(cafile=options.ca_file)
        # A server's own certificate in the file is trusted as it stands, as in Python 3.13's defaults.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    else:
        context.load_default_certs()
    if options.client is not None:
        with _blaming("the client certificate", "or its key is of no use"):
            # An encrypted key must not make OpenSSL ask the terminal.
            context.load_cert_chain(options.client.certificate, options.client.key, password=lambda: b"")
    return context


@contextmanager
def _blaming(what: str, otherwise: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        cause = "cannot be read" if isinstance(error, FileNotFoundError | PermissionError) else otherwise
        raise UselessFile(f"{what} {cause}") from error


class Contexts(Generic[T]):
    """One shared context per set of options, because reading the authorities costs milliseconds."""

    def __init__(self, make: Callable[[Options], T]) -> None:
        """Read nothing yet: a drop-in that only speaks http:// never pays for the authorities."""
        self._make = make
        self._known: dict[Options, tuple[tuple[int, ...], T]] = {}

    def get(self, options: Options) -> T:
        """Return the context with these options; a changed file is read again. Raise as `make` does."""
        stamps = tuple(_stamp(file) for file in options.files)
        known = self._known.get(options)
        if known is None or known[0] != stamps:
            known = self._known[options] = stamps, self._make(options)
        return known[1]


def _stamp(file: str) -> int:
    """Return when the file was last written; 0 where it cannot be said, and reading it will tell why."""
    try:
        return os.stat(file).st_mtime_ns  # noqa: PTH116  of every check, and a Path takes five times as long
    except OSError:
        return 0


def facts(tls: ssl.SSLObject, *, fault: str | None = None) -> TlsFacts:
    """Return what the handshake showed so far. `fault`: why verification failed."""
    cipher = tls.cipher()
    version = tls.version()  # None until the handshake is over, though TLS 1.3 has settled it long before
    if version is None and cipher is not None and cipher[1] == "TLSv1.3":
        version = cipher[1]
    return TlsFacts(
        version=version,
        cipher=cipher[0] if cipher is not None else None,
        chain=_chain(tls),
        fault=fault,
    )


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a handshake failed: the reason, and a plain sentence that begins in lower case."""

    reason: Reason
    detail: str


def trouble(error: ssl.SSLError, chain: tuple[Certificate, ...], *, host: str, now: datetime) -> Trouble:
    """Say what was wrong with a handshake, judged at `now`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return distrust(error.verify_code, error.verify_message, chain, host=host, now=now)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Trouble(Reason.TLS_HANDSHAKE, "connection closed during the TLS handshake")
    return Trouble(Reason.TLS_HANDSHAKE, words(error.reason or ""))


def words(spoken: str) -> str:
    """Return plain words for OpenSSL's reason, as in "WRONG_VERSION_NUMBER"; empty: OpenSSL gave none."""
    spoken = spoken.upper()
    return _HANDSHAKE_WORDS.get(spoken) or spoken.replace("_", " ").lower() or "unknown TLS fault"


def distrust(code: int, said: str, chain: tuple[Certificate, ...], *, host: str, now: datetime) -> Trouble:
    """Say why a chain is not trusted, judged at `now`. `code`: OpenSSL's X509_V_ERR_*, `said`: its own words for it."""
    leaf = chain[0] if chain else None
    if code in _EXPIRED:
        late = [certificate for certificate in chain if certificate.not_after <= now]
        which = "certificate" if not late or late[0] is leaf else f"issuing certificate {late[0].subject}"
        ago = f" {_in_words(now - late[0].not_after)} ago" if late else ""
        return Trouble(Reason.TLS_EXPIRED, f"{which} expired{ago}")
    if code in _NOT_YET_VALID:
        early = [certificate for certificate in chain if certificate.not_before > now]
        until = f" for another {_in_words(early[0].not_before - now)}" if early else ""
        return Trouble(Reason.TLS_NOT_YET_VALID, f"certificate is not valid{until}{'' if early else ' yet'}")
    if code in _WRONG_NAME:
        names = _listed(leaf.names) if leaf is not None else ""
        return Trouble(Reason.TLS_HOSTNAME, f"certificate is for {names or 'no host name'}, not {host}")
    if code in _SELF_SIGNED:
        if len(chain) > 1:
            return Trouble(
                Reason.TLS_SELF_SIGNED, f"certificate chain ends in an unknown authority: {chain[-1].subject}"
            )
        return Trouble(Reason.TLS_SELF_SIGNED, "certificate is self-signed")
    if code in _NO_ISSUER:
        issuer = f": {chain[-1].issuer}" if chain else ""
        return Trouble(
            Reason.TLS_UNTRUSTED, f"certificate issuer is not trusted, or its certificate was not sent{issuer}"
        )
    if code in _WEAK:
        return Trouble(Reason.CERT_WEAK, f"certificate is too weak: {said}")
    return Trouble(Reason.TLS_UNTRUSTED, f"certificate is not trusted: {said}")


def _in_words(span: timedelta) -> str:
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(span.total_seconds() // size)
        if count:
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return "a moment"


def _listed(names: tuple[str, ...]) -> str:
    if len(names) <= 4:
        return ", ".join(names)
    return f"{', '.join(names[:3])} and {len(names) - 3} more"


def _chain(tls: ssl.SSLObject) -> tuple[Certificate, ...]:
    """Return the chain as presented, the server's own certificate first; empty where none came."""
    presented: Iterable[Any] | None
    try:
        # The C object's method exists on 3.10 and later, and its certificates tell their own facts: parsing them again
        # would load a second OpenSSL of some ten megabytes.
        presented = tls._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # noqa: SLF001
    except AttributeError:
        public = getattr(tls, "get_unverified_chain", None)
        presented = public() if public is not None else None
    except (ValueError, ssl.SSLError):
        presented = None
    return chain_of(presented or ())


def chain_of(presented: Iterable[Any]) -> tuple[Certificate, ...]:
    """Return the facts of certificates, in DER form or as OpenSSL's objects; what cannot be read ends the chain."""
    found = []
    for certificate in list(presented)[:_MOST_CERTIFICATES]:
        try:
            found.append(from_der(certificate) if isinstance(certificate, bytes) else _read(certificate))
        except (KeyError, OverflowError, ValueError):  # dates or names that no calendar or alphabet has
            break
    return tuple(found)


# The same few certificates come round with every check. OpenSSL's objects are equal where their DER forms are, and say so
# without writing them; those of other libraries are known by that form.
_KNOWN: dict[Any, Certificate] = {}


def _read(certificate: Any) -> Certificate:  # noqa: ANN401  the C object has no public type
    key = certificate if type(certificate).__module__ == "_ssl" else certificate.public_bytes(2)  # _ssl.ENCODING_DER
    known = _KNOWN.get(key)
    if known is None:
        known = from_info(certificate.get_info(), certificate.public_bytes(2))
        if len(_KNOWN) >= 1024:
            _KNOWN.clear()
        _KNOWN[key] = known
    return known


def from_info(info: dict[str, Any], der: bytes) -> Certificate:
    """Return the facts of a certificate from the dictionary form of `ssl.SSLObject.getpeercert`.

    Raise ValueError or OverflowError where its dates cannot be read.
    """
    names = [
        text if kind == "DNS" else _plain_address(text)
        for kind, text in info.get("subjectAltName", ())
        if kind in {"DNS", "IP Address"}
    ]
    strong = strength(der)
    return Certificate(
        subject=_name(info.get("subject", ())),
        issuer=_name(info.get("issuer", ())),
        names=tuple(names[:_MOST_NAMES]),
        not_before=_EPOCH + timedelta(seconds=ssl.cert_time_to_seconds(info["notBefore"])),
        not_after=_EPOCH + timedelta(seconds=ssl.cert_time_to_seconds(info["notAfter"])),
        fingerprint=hashlib.sha256(der).hexdigest(),
        key=strong.key,
        bits=strong.bits,
        digest=strong.digest,
    )


@lru_cache(maxsize=256)
def from_der(der: bytes) -> Certificate:
    """Return the facts of a certificate from its DER form. Raise ValueError where it cannot be read.

    For Pythons whose chain comes as bytes only; the library costs memory, so it loads when it is needed.
    """
    from cryptography import x509  # noqa: PLC0415  see above

    certificate = x509.load_der_x509_certificate(der)
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        names: tuple[str, ...] = ()
    else:
        names = (
            *alternative.get_values_for_type(x509.DNSName),
            *map(str, alternative.get_values_for_type(x509.IPAddress)),
        )
    strong = strength(der)
    return Certificate(
        subject=_name(_rdns(certificate.subject)),
        issuer=_name(_rdns(certificate.issuer)),
        names=names[:_MOST_NAMES],
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=hashlib.sha256(der).hexdigest(),
        key=strong.key,
        bits=strong.bits,
        digest=strong.digest,
    )


def _rdns(name: "x509.Name") -> list[list[tuple[str, str]]]:
    """Bring a name of `cryptography` into the form of `getpeercert`: RFC 4519's names instead of OpenSSL's long ones."""
    short = {code: long for long, code in _ATTRIBUTES.items()}
    return [
        [(short.get(attribute.rfc4514_attribute_name, ""), str(attribute.value)) for attribute in rdn]
        for rdn in name.rdns
    ]


def _name(rdns: Iterable[Iterable[tuple[str, str]]]) -> str:
    """Return "CN=shop.example, O=Shop": the parts that people know, in the certificate's order, at most 200 characters."""
    parts = [f"{_ATTRIBUTES[kind]}={text}" for rdn in rdns for kind, text in rdn if kind in _ATTRIBUTES]
    return ", ".join(parts)[:200]


def _plain_address(text: str) -> str:
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        return text.strip()

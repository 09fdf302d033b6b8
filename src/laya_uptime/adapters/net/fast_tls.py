"""TLS by BoringSSL, where the extra `fast-tls` is installed: the same handshake and verification at about half the cost.

OpenSSL 3 spends most of a handshake decoding certificates and keys. It stays the one whose word counts: whatever goes
wrong here is tried again with it before anybody hears of it (`Exchange`), so no verdict ever rests on this alone.
"""

import ssl
from contextlib import suppress
from datetime import datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from laya_uptime.adapters.net import tls
from laya_uptime.adapters.net.session import CHUNK, LARGEST_HANDSHAKE
from laya_uptime.domain.certificates import weakness
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import TlsFacts


@cache
def library() -> Any:  # noqa: ANN401  a module that may not be there
    """Return the library; None: the extra is not installed, or not made for this machine."""
    try:
        return import_module("utls")
    except (ImportError, OSError):
        return None


def make_context(ca_file: str | None) -> Any:  # noqa: ANN401  its type is the library's
    """Return a context as `tls.make_context` makes them; None where there is no library or no file of authorities."""
    utls = library()
    if utls is None:
        return None
    usual = ssl.get_default_verify_paths()
    authorities = ca_file or usual.cafile or (usual.capath and _bundle(usual.capath))
    if not authorities:
        return None
    try:
        context = utls.SSLContext(utls.PROTOCOL_TLS_CLIENT)
        context.minimum_version = utls.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_verify_locations(cafile=authorities)
        if ca_file is not None:
            if not _are_authorities(ca_file):
                return None
            context.verify_flags |= utls.VERIFY_X509_PARTIAL_CHAIN
    except Exception:  # noqa: BLE001  the standard library tells what is wrong
        return None
    return context


def _are_authorities(ca_file: str) -> bool:
    """Say whether all certificates in the file say that they are authorities; BoringSSL would take the others for one too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=ca_file)
    held = context.cert_store_stats()
    return held["x509"] == held["x509_ca"]


def _is_modern(cipher: str) -> bool:
    """Say whether OpenSSL would surely have agreed to it too; BoringSSL still takes some that Python's defaults refuse."""
    forward_secret = cipher.startswith(("TLS_AES_", "TLS_CHACHA20_", "ECDHE-"))
    return forward_secret and ("-GCM-" in cipher or "_GCM_" in cipher or "CHACHA20" in cipher)


def _bundle(directory: str) -> str | None:
    """Return the one file in which Debian and its kin keep all authorities."""
    bundle = Path(directory, "ca-certificates.crt")
    return str(bundle) if bundle.is_file() else None


class FastSession:
    """A session by BoringSSL. Every fault comes as ssl.SSLError, without words: nobody will read them."""

    def __init__(self, context: Any, server_hostname: str) -> None:  # noqa: ANN401  see `make_context`
        """Raise ssl.SSLError where the library cannot take the name."""
        utls = library()
        self.facts: TlsFacts | None = None
        self.is_established = False
        self._wants_more = utls.SSLWantReadError
        self._ended = utls.SSLZeroReturnError
        self._incoming = utls.MemoryBIO()
        self._outgoing = utls.MemoryBIO()
        self._received = 0
        host = server_hostname.removesuffix(".").partition("%")[0]
        try:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        except (OSError, ValueError) as error:
            raise ssl.SSLError("refused") from error

    @property
    def alpn(self) -> str:
        """See `Session.alpn`."""
        return self._tls.selected_alpn_protocol() or ""

    def handshake(self) -> bool:
        """See `Session.handshake`."""
        if self._received > LARGEST_HANDSHAKE:
            raise ssl.SSLError("handshake flood")
        try:
            self._tls.do_handshake()
            chain = self._tls.get_unverified_chain()
            cipher = self._tls.cipher()
            self.facts = TlsFacts(
                version=self._tls.version(),
                cipher=cipher[0] if cipher else None,
                chain=tls.chain_of(chain),
            )
        except self._wants_more:
            return False
        except (OSError, ValueError) as error:
            raise ssl.SSLError("handshake") from error
        if weakness(self.facts.chain) is not None or not _is_modern(self.facts.cipher or ""):
            raise ssl.SSLError("weak")  # which of them are refused is for the other library to say
        self.is_established = True
        return True

    def failed(self, error: ssl.SSLError, now: datetime) -> tls.Trouble:
        """See `Session.failed`."""
        del error, now
        return tls.Trouble(Reason.TLS_HANDSHAKE, "the handshake failed")

    def feed(self, data: bytes | memoryview) -> None:
        """See `Session.feed`."""
        if data:
            self._received += len(data)
            self._incoming.write(bytes(data))
        else:
            self._incoming.write_eof()

    def drain(self) -> bytes:
        """See `Session.drain`."""
        return bytes(self._outgoing.read()) if self._outgoing.pending else b""

    def write(self, data: bytes) -> None:
        """See `Session.write`."""
        try:
            for start in range(0, len(data), CHUNK):
                self._tls.write(data[start : start + CHUNK])
        except OSError as error:
            raise ssl.SSLError("write") from error

    def read(self, limit: int) -> bytes | None:
        """See `Session.read`."""
        try:
            return bytes(self._tls.read(limit))
        except self._wants_more:
            return None
        except self._ended:
            return b""
        except OSError as error:
            raise ssl.SSLEOFError("cut") from error

    def farewell(self) -> bytes:
        """See `Session.farewell`."""
        if self.is_established:
            with suppress(OSError, ValueError):
                self._tls.unwrap()
        return self.drain()

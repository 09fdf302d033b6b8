"""Who we are is shown to the server that asks, and to nobody else."""

import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.testing.target import Peer, Script, ScriptedTarget, says

PATIENCE = timedelta(seconds=10)
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Authority(Protocol):
    ca_file: Path
    folder: Path
    issued: int

    def context(self, *names: str) -> ssl.SSLContext: ...


@pytest.fixture
def ours(authority: Authority) -> Path:
    """Certificate and key in one file."""
    authority.context("probe.example")
    return authority.folder / f"server-{authority.issued}.pem"


@pytest.fixture
def look(reach: GuardedDialer, authority: Authority) -> Callable[..., Any]:
    async def look(url: str, **options: Any) -> Seen:  # noqa: ANN401  any option of the check
        check = HttpCheck(url=Secret(url), ca_file=str(authority.ca_file), **options)
        return await check.probe(reach, timeout=PATIENCE)

    return look


def asking(authority: Authority, *, needs: bool = True) -> ssl.SSLContext:
    context = authority.context("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED if needs else ssl.CERT_OPTIONAL
    context.load_verify_locations(authority.ca_file)
    return context


def notes(shown: list[tuple[str, ...]], answer: bytes = FINE) -> Script:
    """Write down the names in the certificate that the other side has shown, and answer."""

    async def script(peer: Peer) -> None:
        await peer.request()
        assert peer._tls is not None
        der = peer._tls.getpeercert(binary_form=True)
        if der is None:
            shown.append(())
        else:
            names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
            shown.append(tuple(names.value.get_values_for_type(x509.DNSName)))
        await peer.send(answer)

    return script


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_is_shown_to_who_asks(
    newest: ssl.TLSVersion, look: Callable[..., Any], authority: Authority, ours: Path
) -> None:
    shown: list[tuple[str, ...]] = []
    context = asking(authority)
    context.maximum_version = newest
    async with ScriptedTarget(notes(shown), tls=context) as target:
        seen = await look(target.url(), client_certificate=str(ours))

    assert isinstance(seen, Answer), seen
    assert shown == [("probe.example",)]


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_without_one_the_server_refuses_and_the_reason_says_so(
    newest: ssl.TLSVersion, look: Callable[..., Any], authority: Authority
) -> None:
    context = asking(authority)
    context.maximum_version = newest
    async with ScriptedTarget(says(FINE), tls=context) as target:
        seen = await look(target.url())

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.TLS_HANDSHAKE
    assert seen.detail in {"the server wants a client certificate", "the server refused the handshake"}
    assert target.requests == []


async def test_one_of_another_authority_is_not_accepted(
    look: Callable[..., Any], authority: Authority, stranger: Authority
) -> None:
    stranger.context("probe.example")
    theirs = stranger.folder / f"server-{stranger.issued}.pem"
    async with ScriptedTarget(says(FINE), tls=asking(authority)) as target:
        seen = await look(target.url(), client_certificate=str(theirs))

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.TLS_HANDSHAKE
    assert "certificate" in seen.detail or "unknown ca" in seen.detail


async def test_a_redirect_to_another_origin_does_not_take_it_along(
    look: Callable[..., Any], authority: Authority, ours: Path
) -> None:
    shown: list[tuple[str, ...]] = []
    async with ScriptedTarget(notes(shown), tls=asking(authority, needs=False)) as other:
        moved = b"HTTP/1.1 302 Moved\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n" % other.url().encode()
        async with ScriptedTarget(notes(shown, moved), tls=asking(authority)) as target:
            seen = await look(target.url(), client_certificate=str(ours))

    assert isinstance(seen, Answer), seen
    assert shown == [("probe.example",), ()]


async def test_a_redirect_within_the_origin_takes_it_along(
    look: Callable[..., Any], authority: Authority, ours: Path
) -> None:
    shown: list[tuple[str, ...]] = []
    moved = b"HTTP/1.1 302 Moved\r\nContent-Length: 0\r\nLocation: /there\r\n\r\n"

    async def script(peer: Peer) -> None:
        await notes(shown, FINE if shown else moved)(peer)

    async with ScriptedTarget(script, tls=asking(authority)) as target:
        seen = await look(target.url(), client_certificate=str(ours))

    assert isinstance(seen, Answer), seen
    assert shown == [("probe.example",)] * 2


@pytest.fixture
def useless(ours: Path, authority: Authority, tmp_path: Path) -> Path:
    """A folder of files that are no certificate with its key."""
    (tmp_path / "not-pem.pem").write_text("s3cret")
    (tmp_path / "no-key.pem").write_bytes(authority.ca_file.read_bytes())
    whole = ours.read_bytes()
    key = load_pem_private_key(whole, None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"s3cret"))
    (tmp_path / "encrypted.pem").write_bytes(whole[whole.index(b"-----BEGIN CERT") :] + locked)
    return tmp_path


@pytest.mark.parametrize("where", ["nowhere.pem", "not-pem.pem", "no-key.pem", "encrypted.pem", "."])
async def test_a_file_that_is_of_no_use_is_our_trouble_and_never_asks_anybody(
    where: str, look: Callable[..., Any], useless: Path, authority: Authority
) -> None:
    async with ScriptedTarget(says(FINE), tls=asking(authority)) as target:
        seen = await look(target.url(), client_certificate=str(useless / where))

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.INTERNAL
    cannot = where == "nowhere.pem"
    assert seen.detail == f"the client certificate {'cannot be read' if cannot else 'or its key is of no use'}"
    assert target.connections == 0


@pytest.fixture
def parts(ours: Path, authority: Authority, tmp_path: Path) -> tuple[str, str, str]:
    """Our certificate, its key, and another key."""
    authority.context("other.example")
    other = authority.folder / f"server-{authority.issued}.pem"
    found = []
    for name, source, is_key in (("cert", ours, False), ("key", ours, True), ("other", other, True)):
        key, mark, certificate = source.read_bytes().partition(b"-----BEGIN CERT")
        (tmp_path / name).write_bytes(key if is_key else mark + certificate)
        found.append(str(tmp_path / name))
    return found[0], found[1], found[2]


async def test_the_key_may_be_in_a_file_of_its_own_but_must_be_the_right_one(
    look: Callable[..., Any], parts: tuple[str, str, str], authority: Authority
) -> None:
    certificate, key, other = parts
    async with ScriptedTarget(says(FINE), tls=asking(authority)) as target:
        right = await look(target.url(), client_certificate=certificate, client_key=key)
        wrong = await look(target.url(), client_certificate=certificate, client_key=other)

    assert isinstance(right, Answer)
    assert isinstance(wrong, Failure)
    assert (wrong.reason, wrong.detail) == (Reason.INTERNAL, "the client certificate or its key is of no use")

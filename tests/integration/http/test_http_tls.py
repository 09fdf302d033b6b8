"""TLS faults by their exact reason, with the certificate that caused them."""

import ssl
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net import tls
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Fault, Purpose
from laya_uptime.testing.target import Peer, ScriptedTarget, says

PATIENCE = timedelta(seconds=10)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Authority(Protocol):
    """What the fixture of this folder gives."""

    certificate: x509.Certificate
    ca_file: Path

    def context(
        self,
        *names: str,
        starts: timedelta = -DAY,
        ends: timedelta = 90 * DAY,
        self_signed: bool = False,
        with_root: bool = False,
        key: rsa.RSAPrivateKey | None = None,
    ) -> ssl.SSLContext: ...


async def look(target: ScriptedTarget, authority: Authority | None, *, host: str | None = None) -> Seen:
    async def resolve(name: str) -> tuple[str, ...]:
        return ("127.0.0.1",)

    reach = GuardedDialer(clock=SystemClock(), policy=EgressPolicy(), resolver=resolve)
    check = HttpCheck(url=Secret(target.url(host=host)), ca_file=None if authority is None else str(authority.ca_file))
    return await check.probe(reach, timeout=PATIENCE)


async def test_a_verified_handshake_leaves_its_facts(authority: Authority) -> None:
    context = authority.context("127.0.0.1", "shop.example", "::1", ends=30 * DAY, with_root=True)
    async with ScriptedTarget(says(FINE), tls=context) as target:
        seen = await look(target, authority)

    assert isinstance(seen, Answer)
    facts = seen.evidence.tls
    assert facts is not None
    assert (facts.version, facts.fault) == ("TLSv1.3", None)
    leaf, root = facts.chain
    assert leaf.subject == "CN=127.0.0.1"
    assert leaf.issuer == root.subject == "CN=Trusted Authority"
    assert set(leaf.names) == {"127.0.0.1", "shop.example", "::1"}
    assert timedelta(days=29) < leaf.not_after - SystemClock().now() < timedelta(days=31)
    assert root == tls.from_der(authority.certificate.public_bytes(Encoding.DER))
    assert [step for step, _ in seen.evidence.phases.reached()] == ["connect", "tls", "send", "wait", "read"]


async def test_tls_1_2_is_good_enough(authority: Authority) -> None:
    context = authority.context("127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with ScriptedTarget(says(FINE), tls=context) as target:
        seen = await look(target, authority)

    assert isinstance(seen, Answer)
    assert seen.evidence.tls is not None
    assert seen.evidence.tls.version == "TLSv1.2"


async def test_the_name_is_sent_and_checked(authority: Authority) -> None:
    asked: list[str | None] = []
    context = authority.context("b\u00fccher.example".encode("idna").decode())
    context.sni_callback = lambda _, name, __: asked.append(name)
    async with ScriptedTarget(says(FINE), tls=context) as target:
        seen = await look(target, authority, host="B\u00dcCHER.example.")

    assert isinstance(seen, Answer)
    assert asked == ["xn--bcher-kva.example"]


DISTRUST = [
    pytest.param(
        {"ends": -3 * DAY, "starts": -9 * DAY}, Reason.TLS_EXPIRED, "certificate expired 3 days ago", id="expired"
    ),
    pytest.param(
        {"ends": -HOUR, "starts": -DAY}, Reason.TLS_EXPIRED, "certificate expired 1 hour ago", id="an hour ago"
    ),
    pytest.param(
        {"starts": 2 * DAY + HOUR}, Reason.TLS_NOT_YET_VALID, "certificate is not valid for another 2 days", id="early"
    ),
    pytest.param({"self_signed": True}, Reason.TLS_SELF_SIGNED, "certificate is self-signed", id="self-signed"),
    pytest.param(
        {"names": ("a.example", "b.example")}, Reason.TLS_HOSTNAME, "for a.example, b.example, not 127.0.0.1", id="name"
    ),
    pytest.param(
        {"names": ("127.0.0.2",)}, Reason.TLS_HOSTNAME, "certificate is for 127.0.0.2, not 127.0.0.1", id="address"
    ),
    pytest.param({"names": ()}, Reason.TLS_HOSTNAME, "certificate is for no host name, not 127.0.0.1", id="no name"),
    pytest.param(
        {"names": tuple(f"{n}.example" for n in range(9))},
        Reason.TLS_HOSTNAME,
        "2.example and 6 more, not",
        id="many names",
    ),
]


@pytest.mark.parametrize(("options", "reason", "detail"), DISTRUST)
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_that_is_not_good_has_its_exact_reason(
    options: dict[str, object], reason: Reason, detail: str, newest: ssl.TLSVersion, authority: Authority
) -> None:
    names = options.get("names", ("127.0.0.1",))
    assert isinstance(names, tuple)
    context = authority.context(*names, **{key: value for key, value in options.items() if key != "names"})  # type: ignore[arg-type]
    context.maximum_version = newest
    async with ScriptedTarget(says(FINE), tls=context) as target:
        seen = await look(target, authority)

    assert isinstance(seen, Failure)
    assert seen.reason is reason
    assert detail in seen.detail
    facts = seen.evidence.tls
    assert facts is not None
    assert facts.fault == seen.detail
    assert len(facts.chain) == 1
    assert set(facts.chain[0].names) == set(names)
    assert target.requests == []


async def test_an_unknown_issuer_is_untrusted(authority: Authority, stranger: Authority) -> None:
    async with ScriptedTarget(says(FINE), tls=stranger.context("127.0.0.1")) as target:
        seen = await look(target, authority)

    assert isinstance(seen, Failure)
    assert (seen.reason, "CN=Unknown Authority" in seen.detail) == (Reason.TLS_UNTRUSTED, True)


async def test_an_unknown_root_in_the_chain_is_self_signed(authority: Authority, stranger: Authority) -> None:
    async with ScriptedTarget(says(FINE), tls=stranger.context("127.0.0.1", with_root=True)) as target:
        seen = await look(target, authority)

    assert isinstance(seen, Failure)
    assert (seen.reason, "CN=Unknown Authority" in seen.detail) == (Reason.TLS_SELF_SIGNED, True)
    assert seen.evidence.tls is not None
    assert len(seen.evidence.tls.chain) == 2


async def test_the_systems_authorities_do_not_know_ours(authority: Authority) -> None:
    async with ScriptedTarget(says(FINE), tls=authority.context("127.0.0.1")) as target:
        seen = await look(target, None)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.TLS_UNTRUSTED


async def test_a_key_that_is_too_short_is_weak(authority: Authority) -> None:
    key = rsa.generate_private_key(65537, 1024)
    async with ScriptedTarget(says(FINE), tls=authority.context("127.0.0.1", key=key)) as target:
        seen = await look(target, authority)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.CERT_WEAK


async def test_a_server_that_speaks_no_tls_is_told_from_one_that_speaks_it_badly(authority: Authority) -> None:
    async def plain(peer: Peer) -> None:
        await peer.receive()
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def silent(peer: Peer) -> None:
        await peer.receive()

    async def alert(peer: Peer) -> None:
        await peer.receive()
        await peer.send(b"\x15\x03\x03\x00\x02\x02\x28")

    async def unknown_name(peer: Peer) -> None:
        await peer.receive()
        await peer.send(b"\x15\x03\x03\x00\x02\x02\x70")

    async def reset(peer: Peer) -> None:
        await peer.receive()
        peer.reset()

    for script, reason, words in (
        (plain, Reason.TLS_HANDSHAKE, "does not speak TLS"),
        (silent, Reason.TLS_HANDSHAKE, "closed during the TLS handshake"),
        (alert, Reason.TLS_HANDSHAKE, "refused the handshake"),
        (unknown_name, Reason.TLS_HANDSHAKE, "does not know this host name"),
        (reset, Reason.RESET, "Connection reset by peer"),
    ):
        async with ScriptedTarget(script) as target:
            check = HttpCheck(url=Secret(target.url().replace("http:", "https:")), ca_file=str(authority.ca_file))
            seen = await check.probe(GuardedDialer(clock=SystemClock(), policy=EgressPolicy()), timeout=PATIENCE)

        assert isinstance(seen, Failure)
        assert (seen.reason, words in seen.detail) == (reason, True), seen


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_a_server_with_old_versions_only_shares_none_with_us(authority: Authority) -> None:
    context = authority.context("127.0.0.1")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with ScriptedTarget(says(FINE), tls=context) as target:
        seen = await look(target, authority)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.TLS_HANDSHAKE


async def test_a_server_that_wants_a_client_certificate_is_named(authority: Authority) -> None:
    context = authority.context("127.0.0.1")
    context.load_verify_locations(authority.ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    async with ScriptedTarget(says(FINE), tls=context) as target:
        seen = await look(target, authority)

    assert isinstance(seen, Failure)
    assert seen.reason in {Reason.TLS_HANDSHAKE, Reason.RESET}


async def test_r04_an_enormous_chain_is_a_fault_and_not_a_meal(authority: Authority) -> None:
    # A certificate message of 1 MiB in records of 16 KiB: OpenSSL refuses it by its announced size.
    body = b"\x0b\x10\x00\x00" + bytes(16380)
    records = b"".join(b"\x16\x03\x03\x40\x00" + bytes(16384) for _ in range(64))
    hello = b"\x02\x00\x00\x2d\x03\x03" + bytes(32) + b"\x00\xc0\x2f\x00"  # TLS 1.2, ECDHE-RSA-AES128-GCM-SHA256
    hello += b"\x00\x05\xff\x01\x00\x01\x00"  # renegotiation_info, without which we hang up

    async def heavy(peer: Peer) -> None:
        await peer.receive()
        await peer.send(b"\x16\x03\x03" + len(hello).to_bytes(2, "big") + hello)
        await peer.send(b"\x16\x03\x03\x40\x00" + body + records)
        await peer.gone()

    async with ScriptedTarget(heavy) as target:
        check = HttpCheck(url=Secret(target.url().replace("http:", "https:")), ca_file=str(authority.ca_file))
        seen = await check.probe(GuardedDialer(clock=SystemClock(), policy=EgressPolicy()), timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.TLS_HANDSHAKE, "the server's handshake is too large")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nhi", Reason.TRUNCATED, id="until the end"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", Reason.TRUNCATED, id="by length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", Reason.TRUNCATED, id="chunked"
        ),
        pytest.param(b"HTTP/1.1 200 O", Reason.TRUNCATED, id="in the headers"),
        pytest.param(b"", Reason.RESET, id="before a byte"),
        pytest.param(FINE, None, id="after a whole answer"),
    ],
)
async def test_a_tls_stream_cut_without_its_closing_words_is_truncated(
    answer: bytes, expected: Reason | None, authority: Authority
) -> None:
    async def cut(peer: Peer) -> None:
        await peer.request()
        if answer:
            await peer.send(answer)

    async with ScriptedTarget(cut, tls=authority.context("127.0.0.1")) as target:
        seen = await look(target, authority)

    assert (seen.reason if isinstance(seen, Failure) else None) is expected


async def test_a_tls_stream_that_ends_properly_ends_the_body(authority: Authority) -> None:
    answer = says(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 100_000)
    async with ScriptedTarget(answer, tls=authority.context("127.0.0.1")) as target:
        seen = await look(target, authority)

    assert isinstance(seen, Answer)
    assert seen.evidence.body is not None
    assert seen.evidence.body.size == 100_000


async def test_a_large_body_goes_out_over_tls_whole(authority: Authority) -> None:
    async with ScriptedTarget(says(FINE), tls=authority.context("127.0.0.1")) as target:
        check = HttpCheck(
            url=Secret(target.url()), method="PUT", body=Secret("y" * 300_000), ca_file=str(authority.ca_file)
        )
        await check.probe(GuardedDialer(clock=SystemClock(), policy=EgressPolicy()), timeout=PATIENCE)

    assert target.requests[0].endswith(b"\r\n\r\n" + b"y" * 300_000)


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_file_of_authorities_that_is_of_no_use_is_our_trouble(content: str | None, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    async with ScriptedTarget(says(FINE)) as target:
        check = HttpCheck(url=Secret(target.url().replace("http:", "https:")), ca_file=str(ca_file))
        seen = await check.probe(GuardedDialer(clock=SystemClock(), policy=EgressPolicy()), timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert (seen.reason, target.connections) == (Reason.INTERNAL, 0)
    assert str(tmp_path) not in seen.detail


async def test_a_changed_file_of_authorities_is_read_again(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    reach = GuardedDialer(clock=SystemClock(), policy=EgressPolicy())
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(stranger.ca_file.read_bytes())
    async with ScriptedTarget(says(FINE), tls=authority.context("127.0.0.1")) as target:
        check = HttpCheck(url=Secret(target.url()), ca_file=str(ca_file))
        before = await check.probe(reach, timeout=PATIENCE)
        ca_file.write_bytes(authority.ca_file.read_bytes())
        after = await check.probe(reach, timeout=PATIENCE)

    assert (type(before), type(after)) == (Failure, Answer)


def test_contexts_are_shared(authority: Authority) -> None:
    reach = GuardedDialer(clock=SystemClock(), policy=EgressPolicy())

    first = reach.context(ca_file=str(authority.ca_file))

    assert reach.context(ca_file=str(authority.ca_file)) is first
    assert reach.context(insecure=True) is not first
    assert reach.context(insecure=True).verify_mode is ssl.CERT_NONE


async def test_without_verification_the_chain_is_kept_all_the_same(stranger: Authority) -> None:
    reach = GuardedDialer(clock=SystemClock(), policy=EgressPolicy())
    async with ScriptedTarget(says(FINE), tls=stranger.context("a.example", ends=-DAY, starts=-9 * DAY)) as target:
        connection = await reach.connect("127.0.0.1", target.port, purpose=Purpose.CHECK)
        await connection.start_tls(reach.context(insecure=True), "127.0.0.1")
        connection.close()

    assert connection.tls is not None
    assert connection.tls.chain[0].subject == "CN=a.example"


async def test_a_failed_handshake_is_a_fault_with_its_facts(stranger: Authority, authority: Authority) -> None:
    reach = GuardedDialer(clock=SystemClock(), policy=EgressPolicy())
    async with ScriptedTarget(says(FINE), tls=stranger.context("127.0.0.1")) as target:
        connection = await reach.connect("127.0.0.1", target.port, purpose=Purpose.CHECK)
        with pytest.raises(Fault, match="not trusted") as caught:
            await connection.start_tls(reach.context(ca_file=str(authority.ca_file)), "127.0.0.1")
        connection.close()

    assert caught.value.failure.evidence.tls == connection.tls
    assert caught.value.failure.evidence.phases.tls is not None


def test_both_ways_to_read_a_certificate_agree(authority: Authority) -> None:
    der = authority.certificate.public_bytes(Encoding.DER)

    described = ssl._ssl._test_decode_cert(str(authority.ca_file))  # type: ignore[attr-defined]

    assert tls.from_info(described, der) == tls.from_der(der)


def test_key_material_is_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))

    context = tls.make_context(tls.Options())

    assert not context.keylog_filename
    assert not (tmp_path / "keys").exists()


def test_a_plain_check_does_not_load_the_certificate_library() -> None:
    code = "import sys, laya_uptime.adapters.checks.http; print(*(n for n in ('cryptography', 'brotli', 'backports') if n in sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == ""

"""What the check `tls` makes of good, weak, old and wrong certificates, and of servers that turn to TLS on request."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest
from aiosmtpd.smtp import SMTP
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.checks.tls import TlsCheck
from laya_uptime.domain.assertion import parse
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Outcome, Seen, Verdict
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Reach
from laya_uptime.testing.observations import an_observation
from laya_uptime.testing.target import Peer, Script, ScriptedTarget

PATIENCE = timedelta(seconds=20)
SHORT = timedelta(seconds=0.3)
DAY = timedelta(days=1)


class Authority(Protocol):
    ca_file: Path

    def context(
        self,
        *names: str,
        starts: timedelta = -DAY,
        ends: timedelta = 90 * DAY,
        self_signed: bool = False,
        with_root: bool = False,
        key: rsa.RSAPrivateKey | None = None,
        digest: hashes.SHA1 | None = None,
    ) -> ssl.SSLContext: ...


async def stay(peer: Peer) -> None:
    await peer.gone()


async def look(context: ssl.SSLContext, via: Reach, authority: Authority, **options: str) -> Seen:
    async with ScriptedTarget(stay, tls=context) as target:
        check = TlsCheck(url=f"tls://127.0.0.1:{target.port}", ca_file=str(authority.ca_file), **options)  # type: ignore[arg-type]
        return await check.probe(via, timeout=PATIENCE)


def verdict(seen: Seen, *, expect: str = "", via: Reach) -> Verdict:
    rules = Rules(expect=(parse(expect),) if expect else ())
    return judge(an_observation(seen, at=via.clock.now()), rules)


async def test_a_good_certificate_is_up_and_its_facts_can_be_expected(via: Reach, authority: Authority) -> None:
    seen = await look(authority.context("127.0.0.1", with_root=True), via, authority)

    assert isinstance(seen, Answer), seen
    assert seen.evidence.tls is not None
    leaf, root = seen.evidence.tls.chain
    assert (leaf.key, leaf.bits, leaf.digest) == ("EC", 256, "SHA-256") == (root.key, root.bits, root.digest)
    expectation = 'tls.expires_in > 80d and tls.version == "TLSv1.3" and tls.issuer contains "Trusted"'
    assert verdict(seen, expect=expectation, via=via).outcome is Outcome.UP
    assert verdict(seen, expect="tls.expires_in > 100d", via=via).reason is Reason.ASSERTION
    assert [step for step, _ in seen.evidence.phases.reached()] == ["connect", "tls"]


async def test_a_certificate_within_its_warning_days_is_degraded(via: Reach, authority: Authority) -> None:
    seen = await look(authority.context("127.0.0.1", ends=5 * DAY), via, authority)

    told = verdict(seen, via=via)

    assert (told.outcome, told.reason) == (Outcome.DEGRADED, Reason.CERT_EXPIRING)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param({"ends": -3 * DAY, "starts": -9 * DAY}, Reason.TLS_EXPIRED, id="expired"),
        pytest.param({"starts": 2 * DAY}, Reason.TLS_NOT_YET_VALID, id="early"),
        pytest.param({"self_signed": True}, Reason.TLS_SELF_SIGNED, id="self-signed"),
        pytest.param({"names": ("a.example",)}, Reason.TLS_HOSTNAME, id="another name"),
    ],
)
async def test_the_presented_chain_is_kept_also_when_it_fails(
    options: dict[str, object], reason: Reason, via: Reach, authority: Authority
) -> None:
    names = options.get("names", ("127.0.0.1",))
    assert isinstance(names, tuple)
    rest = {key: value for key, value in options.items() if key != "names"}
    seen = await look(authority.context(*names, with_root=True, **rest), via, authority)  # type: ignore[arg-type]

    assert isinstance(seen, Failure)
    assert seen.reason is reason or (reason is Reason.TLS_SELF_SIGNED and seen.reason is Reason.TLS_UNTRUSTED)
    assert seen.evidence.tls is not None
    assert (len(seen.evidence.tls.chain), seen.evidence.tls.chain[0].names) == (2, names)
    assert seen.evidence.tls.fault == seen.detail


WEAK = [
    pytest.param(
        {"key": rsa.generate_private_key(65537, 1024)},
        "certificate has a weak key: RSA of 1024 bits, 2048 are the least",
        id="a short RSA key",
    ),
    pytest.param(
        {"digest": hashes.SHA1()}, "certificate has a weak signature: SHA-1 can be forged", id="a SHA-1 signature"
    ),
]


@pytest.mark.parametrize(("options", "detail"), WEAK)
async def test_a_weak_certificate_is_degraded_and_says_why(
    options: dict[str, object], detail: str, via: Reach, old_authority: Authority
) -> None:
    seen = await look(old_authority.context("127.0.0.1", **options), via, old_authority)  # type: ignore[arg-type]

    told = verdict(seen, via=via)

    assert (told.outcome, told.reason, told.detail) == (Outcome.DEGRADED, Reason.CERT_WEAK, detail)


async def test_a_weak_certificate_that_is_wrong_besides_is_down(via: Reach, authority: Authority) -> None:
    context = authority.context("a.example", key=rsa.generate_private_key(65537, 1024))

    seen = await look(context, via, authority)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.TLS_HOSTNAME
    assert seen.evidence.tls is not None
    assert seen.evidence.tls.chain[0].bits == 1024


async def test_weakness_is_admitted_to_this_check_alone_and_no_cipher_with_it(via: Reach, authority: Authority) -> None:
    context = authority.context("127.0.0.1", key=rsa.generate_private_key(65537, 1024))
    async with ScriptedTarget(stay, tls=context) as target:
        check = HttpCheck(url=Secret(f"https://127.0.0.1:{target.port}/"), ca_file=str(authority.ca_file))
        seen = await check.probe(via, timeout=PATIENCE)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.CERT_WEAK
    usual, lenient = via.context(), via.context(admits_weak=True)
    assert [one["name"] for one in usual.get_ciphers()] == [one["name"] for one in lenient.get_ciphers()]
    assert (usual.minimum_version, usual.verify_mode) == (lenient.minimum_version, lenient.verify_mode)


@pytest.mark.parametrize(("least", "good"), [("1.2", True), ("1.3", False)])
async def test_the_least_version_is_demanded(least: str, good: bool, via: Reach, authority: Authority) -> None:
    context = authority.context("127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    seen = await look(context, via, authority, min_version=least)

    assert isinstance(seen, Answer) is good
    if isinstance(seen, Failure):
        assert seen.reason is Reason.TLS_HANDSHAKE
        assert seen.detail == "the server speaks TLSv1.2 at best, TLSv1.3 is the least"
    assert seen.evidence.tls is not None
    assert (seen.evidence.tls.version, len(seen.evidence.tls.chain)) == ("TLSv1.2", 1)


async def test_the_name_to_ask_for_may_be_another_than_the_host(via: Reach, authority: Authority) -> None:
    asked: list[str | None] = []
    context = authority.context("intranet.example")
    context.sni_callback = lambda _, name, __: asked.append(name)

    seen = await look(context, via, authority, server_name="Intranet.example.")

    assert isinstance(seen, Answer), seen
    assert asked == ["intranet.example"]


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"url": "tls://a.example"}, "tls://a.example:443"),
        ({"url": "tls://a.example/"}, "tls://a.example:443"),
        ({"url": "TLS://[::1]:8443"}, "tls://[::1]:8443"),
        ({"url": "tls://a.example", "starttls": "smtp"}, "tls://a.example:25"),
        ({"url": "tls://a.example", "starttls": "postgres"}, "tls://a.example:5432"),
        ({"url": "tls://a.example:587", "starttls": "smtp"}, "tls://a.example:587"),
    ],
)
def test_the_port_is_the_usual_one_where_none_is_written(options: dict[str, str], target: str) -> None:
    assert TlsCheck(**options).target == target  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "tls://me:hunter2@a.example"}, "the URL has a user in it; it must be of the form tls://host:port"),
        ({"url": "https://a.example"}, "the URL must be of the form tls://host:port"),
        ({"url": "tls://a.example", "server_name": "a..b"}, "`server_name`: the host name has an empty part"),
    ],
)
def test_options_that_describe_no_check_are_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        TlsCheck(**options)  # type: ignore[arg-type]


# --- STARTTLS


def turns(*script: bytes | tuple[bytes], tls: ssl.SSLContext | None) -> Script:
    """A peer that says each text, waits for exactly the bytes in a tuple, and then turns to TLS where it has any."""

    async def follow(peer: Peer) -> None:
        for turn in script:
            if isinstance(turn, bytes):
                await peer.send(turn)
            else:
                assert await peer.receive() == turn[0]
        if tls is not None:
            await peer.start_tls(tls)
        await peer.gone()

    return follow


ASKS: dict[str, list[bytes | tuple[bytes]]] = {
    "smtp": [
        b"220-mail.example ESMTP\r\n220 ready\r\n",
        (b"EHLO laya-uptime.invalid\r\n",),
        b"250-mail.example\r\n250-SIZE 22020096\r\n250 STARTTLS\r\n",
        (b"STARTTLS\r\n",),
        b"220 go ahead\r\n",
    ],
    "imap": [b"* OK ready\r\n", (b"a STARTTLS\r\n",), b"* note\r\na OK begin\r\n"],
    "pop3": [b"+OK ready\r\n", (b"STLS\r\n",), b"+OK begin\r\n"],
    "ftp": [b"220-hello\r\n220 ready\r\n", (b"AUTH TLS\r\n",), b"234 proceed\r\n"],
    "postgres": [(b"\x00\x00\x00\x08\x04\xd2\x16\x2f",), b"S"],
}
DECLINES = {
    "smtp": (b"454 TLS not available\r\n", 'expected 220 to STARTTLS, actual "454 TLS not available"'),
    "imap": (b"a BAD unknown command\r\n", 'expected OK to STARTTLS, actual "a BAD unknown command"'),
    "pop3": (b"-ERR no TLS here\r\n", 'expected +OK to STLS, actual "-ERR no TLS here"'),
    "ftp": (b"530 Please login with USER and PASS.\r\n", "expected 234 to AUTH TLS, actual"),
    "postgres": (b"N", 'expected S to the request for TLS, actual "N"'),
}


async def ask(script: Script, name: str, via: Reach, authority: Authority, *, within: timedelta = PATIENCE) -> Seen:
    async with ScriptedTarget(script) as target:
        check = TlsCheck(url=f"tls://127.0.0.1:{target.port}", ca_file=str(authority.ca_file), starttls=name)  # type: ignore[arg-type]
        return await check.probe(via, timeout=within)


@pytest.mark.parametrize("name", ASKS)
async def test_a_server_turns_to_tls_as_its_protocol_does(name: str, via: Reach, authority: Authority) -> None:
    seen = await ask(turns(*ASKS[name], tls=authority.context("127.0.0.1")), name, via, authority)

    assert isinstance(seen, Answer), seen
    assert seen.evidence.tls is not None
    assert seen.evidence.tls.chain[0].names == ("127.0.0.1",)


@pytest.mark.parametrize("name", ASKS)
async def test_a_server_that_declines_is_down_at_once_with_what_it_said(
    name: str, via: Reach, authority: Authority
) -> None:
    answer, detail = DECLINES[name]

    seen = await ask(turns(*ASKS[name][:-1], answer, tls=None), name, via, authority)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.ASSERTION
    assert seen.detail.startswith(detail)


@pytest.mark.parametrize("name", ASKS)
async def test_plain_text_behind_the_answer_is_refused(name: str, via: Reach, authority: Authority) -> None:
    script = [*ASKS[name][:-1], bytes(ASKS[name][-1]) + b"evil\r\n"]  # type: ignore[arg-type]

    seen = await ask(turns(*script, tls=None), name, via, authority)

    assert isinstance(seen, Failure)
    assert (seen.reason, "evil" in seen.detail) == (Reason.TLS_HANDSHAKE, True)


@pytest.mark.parametrize("name", ASKS)
async def test_a_server_that_says_nothing_is_a_timeout(name: str, via: Reach, authority: Authority) -> None:
    seen = await ask(stay, name, via, authority, within=SHORT)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "wait")


async def test_a_greeting_that_refuses_is_down_at_once(via: Reach, authority: Authority) -> None:
    seen = await ask(turns(b"421 too busy\r\n", tls=None), "smtp", via, authority)

    assert isinstance(seen, Failure)
    assert seen.detail == 'expected a greeting with 220, actual "421 too busy"'


@asynccontextmanager
async def mail_server(tls: ssl.SSLContext) -> AsyncIterator[int]:
    session = partial(SMTP, object(), hostname="mail.example", tls_context=tls)
    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_real_mail_server_shows_its_certificate(via: Reach, authority: Authority) -> None:
    async with mail_server(authority.context("127.0.0.1", ends=3 * DAY)) as port:
        check = TlsCheck(url=f"tls://127.0.0.1:{port}", ca_file=str(authority.ca_file), starttls="smtp")
        seen = await check.probe(via, timeout=PATIENCE)

    assert isinstance(seen, Answer), seen
    assert verdict(seen, via=via).reason is Reason.CERT_EXPIRING

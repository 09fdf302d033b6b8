"""Every recipe of the manual loads, passes against a server that speaks as the real one does, and fails against one that does not.

The mail server is a real one. The others are scripts of what OpenSSH 9, Dovecot 2.3, vsftpd 3, Redis 7, PostgreSQL 16
and MySQL 8 send, byte for byte, and of what they answer to nothing else than what they must be sent.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest
from aiosmtpd.smtp import SMTP

from laya_uptime.adapters.checks.tcp import TcpCheck
from laya_uptime.config.load import decode
from laya_uptime.domain.result import Answer, Failure
from laya_uptime.ports import Reach
from laya_uptime.testing.target import Peer, Script, ScriptedTarget

MANUAL = Path(__file__).parents[3] / "docs" / "reference" / "checks"
PATIENCE = timedelta(seconds=20)
NAMES = ("mail.riverside.example",)


class Authority(Protocol):
    ca_file: Path

    def context(self, *names: str) -> ssl.SSLContext: ...


def blocks(page: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (MANUAL / page).read_text("utf-8"), re.DOTALL)


def checks(text: str) -> dict[str, Any]:
    found = decode(text, source="manual", environ={"REDIS_PASSWORD": r"a\nb and more"})
    assert found.warnings == ()
    return {each.monitor.id: each.check for each in found.monitors}


RECIPES: dict[str, TcpCheck] = {}
for block in blocks("tcp.md"):
    RECIPES |= checks(block)


def replies(*turns: bytes | tuple[bytes, ...]) -> Script:
    """A peer that says each text, and waits for exactly the bytes that stand in a tuple."""

    async def script(peer: Peer) -> None:
        for turn in turns:
            if isinstance(turn, bytes):
                await peer.send(turn)
                continue
            heard = b""
            while heard != turn[0]:
                piece = await peer.receive()
                if not piece or not turn[0].startswith(heard + piece):
                    return
                heard += piece
        await peer.gone()

    return script


GREETING_OF_MYSQL = (
    b"\x4a\x00\x00\x00\x0a8.0.36\x00\x0b\x00\x00\x00\x2a\x5b\x1f\x3c\x11\x44\x6e\x02\x00\xff\xff\xff\x02\x00\xff\xdf\x15"
    + bytes(10)
    + b"\x61\x1c\x5d\x0b\x3e\x27\x4c\x19\x70\x5a\x21\x33\x00caching_sha2_password\x00"
)
GREETING_OF_MARIADB = b"\x0a\x00\x00\x00\x0a5.5.5-10.11.6-MariaDB\x00"  # its length happens to be that of a line feed

PEERS: dict[str, Script] = {
    "ssh": replies(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2\r\n"),
    "imap": replies(
        b"* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ AUTH=PLAIN] Dovecot ready.\r\n",
        (b"a CAPABILITY\r\n",),
        b"* CAPABILITY IMAP4rev1 SASL-IR\r\na OK Pre-login capabilities listed, post-login capabilities have more.\r\n",
        (b"b LOGOUT\r\n",),
        b"* BYE Logging out\r\nb OK Logout completed (0.001 + 0.000 secs).\r\n",
    ),
    "pop3": replies(b"+OK Dovecot ready.\r\n", (b"QUIT\r\n",), b"+OK Logging out\r\n"),
    "ftp": replies(b"220 (vsFTPd 3.0.3)\r\n", (b"QUIT\r\n",), b"221 Goodbye.\r\n"),
    "redis": replies((b"AUTH a\\nb and more\r\n",), b"+OK\r\n", (b"PING\r\n",), b"+PONG\r\n"),
    "postgres": replies((b"\x00\x00\x00\x08\x04\xd2\x16\x2f",), b"S"),
    "mysql": replies(GREETING_OF_MYSQL),
    "mail": replies(b"220 mail.riverside.example ESMTP Postfix (Debian/GNU)\r\n"),
    "database": replies(),
}
IMPLICIT = {"imap", "pop3"}


async def run(
    recipe: TcpCheck, script: Script, via: Reach, authority: Authority, *, name: str = ""
) -> Answer | Failure:
    context = authority.context(*NAMES) if name in IMPLICIT else None
    async with ScriptedTarget(script, tls=context) as target:
        return await here(recipe, target.port, authority).probe(via, timeout=PATIENCE)


def here(recipe: TcpCheck, port: int, authority: Authority) -> TcpCheck:
    """The recipe as it stands, but for where the server is and whose word is trusted."""
    return msgspec.structs.replace(
        recipe, url=f"tcp://127.0.0.1:{port}", ca_file=str(authority.ca_file), server_name=NAMES[0]
    )


def test_every_recipe_has_its_peer() -> None:
    assert set(RECIPES) == {*PEERS, "smtp"}


@pytest.mark.parametrize("name", PEERS)
async def test_a_recipe_passes_where_the_service_works(name: str, via: Reach, authority: Authority) -> None:
    seen = await run(RECIPES[name], PEERS[name], via, authority, name=name)

    assert isinstance(seen, Answer), seen


@pytest.mark.parametrize("name", sorted(set(PEERS) - {"database"}))
async def test_a_recipe_fails_where_something_else_answers(name: str, via: Reach, authority: Authority) -> None:
    async def other(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    seen = await run(RECIPES[name], other, via, authority, name=name)

    assert isinstance(seen, Failure)
    assert seen.detail.startswith(("expected ", "connection closed", "Connection reset"))


async def test_mariadb_greets_as_mysql_does(via: Reach, authority: Authority) -> None:
    seen = await run(RECIPES["mysql"], replies(GREETING_OF_MARIADB), via, authority)

    assert isinstance(seen, Answer), seen
    assert seen.evidence.said.startswith("\n\\x00\\x00\\x00\n5.5.5-10.11.6-MariaDB")


@asynccontextmanager
async def mail_server(tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    session: Callable[[], asyncio.Protocol] = partial(
        SMTP, object(), hostname="mail.riverside.example", tls_context=tls, require_starttls=tls is not None
    )
    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_the_smtp_recipe_turns_a_real_mail_server_to_tls(via: Reach, authority: Authority) -> None:
    async with mail_server(authority.context(*NAMES)) as port:
        seen = await here(RECIPES["smtp"], port, authority).probe(via, timeout=PATIENCE)

    assert isinstance(seen, Answer), seen
    assert seen.evidence.tls is not None
    assert seen.evidence.tls.version == "TLSv1.3"
    assert [line[:4] for line in seen.evidence.said.splitlines()][-1] == "221 "


async def test_the_smtp_recipe_tells_that_a_real_mail_server_has_no_starttls(via: Reach, authority: Authority) -> None:
    async with mail_server(None) as port:
        seen = await here(RECIPES["smtp"], port, authority).probe(via, timeout=timedelta(seconds=0.5))

    assert isinstance(seen, Failure)
    assert seen.detail == 'expected "^220 ", actual "454 TLS not available", and no more within 0.5 s'


def test_the_page_about_tls_loads() -> None:
    found = checks("\n".join(blocks("tls.md")))

    assert {check.target for check in found.values()} == {
        "tls://portal.riverside.example:443",
        "tls://mail.riverside.example:25",
        "tls://10.20.0.7:8443",
    }

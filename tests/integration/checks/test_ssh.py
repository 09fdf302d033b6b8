"""What the check `ssh` makes of servers that greet, and of those that do not."""

from datetime import timedelta

import pytest

from laya_uptime.adapters.checks.ssh import SshCheck
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Seen
from laya_uptime.ports import Check, Reach
from laya_uptime.testing.check_contract import CheckContract
from laya_uptime.testing.target import Peer, Script, ScriptedTarget

PATIENCE = timedelta(seconds=20)
SHORT = timedelta(seconds=0.3)


class TestSsh(CheckContract):
    def check(self, host: str, port: int, *, secret: str = "") -> Check:
        return SshCheck(url=f"ssh://{host}:{port}")


def greets(*lines: bytes, heard: list[bytes]) -> Script:
    async def script(peer: Peer) -> None:
        for line in lines:
            await peer.send(line)
        heard.append(await peer.receive())
        await peer.gone()

    return script


async def look(script: Script, via: Reach, within: timedelta = PATIENCE) -> Seen:
    async with ScriptedTarget(script) as target:
        seen = await SshCheck(url=f"ssh://127.0.0.1:{target.port}").probe(via, timeout=within)
        await target.all_gone()
    return seen


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",), id="as most do"),
        pytest.param((b"SSH-1.99-Cisco-1.25\n",), id="with the version before it too, and a bare line end"),
        pytest.param((b"Authorized use only\r\n", b"SSH-2.0-dropbear\r\n"), id="after lines of its own"),
        pytest.param((b"SSH-2.0", b"-a server in pieces\r\n"), id="in pieces"),
    ],
)
async def test_a_server_that_greets_is_there_and_hears_who_asked(lines: tuple[bytes, ...], via: Reach) -> None:
    heard: list[bytes] = []

    seen = await look(greets(*lines, heard=heard), via)

    assert isinstance(seen, Answer)
    assert "SSH-" in seen.evidence.said
    assert heard == [b"SSH-2.0-laya_uptime\r\n"]


@pytest.mark.parametrize(
    ("line", "said"),
    [(b"SSH-1.5-old\r\n", "SSH-1.5-old"), (b"220 mail.example ESMTP\r\n", "220 mail.example ESMTP")],
)
async def test_a_server_of_another_protocol_is_not(line: bytes, said: str, via: Reach) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(line)

    seen = await look(script, via)

    assert isinstance(seen, Failure)
    assert seen.reason in {Reason.ASSERTION, Reason.TRUNCATED}
    assert said in seen.evidence.said


async def test_a_server_that_says_nothing_is_waited_for_until_the_deadline(via: Reach) -> None:
    async def script(peer: Peer) -> None:
        await peer.gone()

    seen = await look(script, via, SHORT)

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "wait")


def test_the_usual_port_need_not_be_written() -> None:
    assert SshCheck(url="ssh://shell.example").target == "ssh://shell.example:22"

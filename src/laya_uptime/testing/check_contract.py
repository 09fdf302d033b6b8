"""What every check that reaches a network promises, held against real sockets on loopback.

    class TestTcp(CheckContract):
        def check(self, host: str, port: int, *, secret: str = "") -> Check:
            return TcpCheck(host=host, port=port)

        @pytest.fixture
        def via(self) -> Reach:
            return GuardedDialer(clock=SystemClock(), policy=EgressPolicy())

A target is refused, silent, torn away, endless or forbidden here; what a good answer looks like is for the check's own
tests. A check that opens no stream of its own (it pings, or runs a program) inherits `LocalCheckContract`
instead, and one that looks at nothing by itself `UnprobedCheckContract`.
"""

import asyncio
import gc
from datetime import timedelta
from pathlib import Path

from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Failure, Seen
from laya_uptime.ports import Check, Reach, Unprobed
from laya_uptime.testing.target import Peer, ScriptedTarget

SOON = timedelta(milliseconds=300)
LATE = timedelta(seconds=30)  # nothing here comes near it, unless the check is wrong
CANARY = "s3cret-canary"


async def is_silent(peer: Peer) -> None:
    """Take everything and say nothing."""
    await peer.gone()


async def never_ends(peer: Peer) -> None:
    """Say something that is no protocol, for ever."""
    while True:
        await peer.send(b"x" * 65536)


async def tears_away(peer: Peer) -> None:
    """Reset the connection as soon as the first byte has come, or soon where the other side waits for ours."""
    await _heard(peer)
    peer.reset()


async def repeats(peer: Peer) -> None:
    """Say what was heard, as many servers do with a command that they do not know."""
    await peer.send(await _heard(peer) or b"?")


class CheckContract:
    """Inherit it, and supply `check` and a fixture `via`, the product's own dialer.

    `silent_phase` is the step under way when a peer takes the connection and says nothing; `connects` False: connecting
    is no step of its own.
    """

    silent_phase = "wait"
    connects = True

    def check(self, host: str, port: int, *, secret: str = "") -> Check:
        """Return the check that looks at this place; `secret` goes wherever it can hold a credential."""
        raise NotImplementedError

    async def look(self, port: int, via: Reach, within: timedelta = LATE) -> Seen:
        """Probe the place on loopback."""
        return await self.check("127.0.0.1", port).probe(via, timeout=within)

    async def test_a_place_where_nobody_listens_refuses(self, via: Reach) -> None:
        """With the exact reason and a plain cause."""
        async with ScriptedTarget(is_silent) as target:
            port = target.port

        seen = await self.look(port, via)

        assert isinstance(seen, Failure)
        assert seen.reason is Reason.REFUSED
        assert seen.detail == "Connection refused"
        assert seen.evidence.addresses == ("127.0.0.1",)

    async def test_a_silent_peer_is_a_timeout_with_its_phase_and_what_was_seen(self, via: Reach) -> None:
        """The check keeps its own deadline, so the evidence until then is not lost."""
        async with ScriptedTarget(is_silent) as target:
            seen = await self.look(target.port, via, SOON)

        assert isinstance(seen, Failure)
        assert seen.reason is Reason.TIMEOUT
        assert seen.phase == self.silent_phase
        assert seen.evidence.address == "127.0.0.1"
        assert seen.evidence.phases.connect is not None or not self.connects

    async def test_a_peer_that_tears_the_connection_away_is_a_reset(self, via: Reach) -> None:
        """Never an exception."""
        async with ScriptedTarget(tears_away) as target:
            seen = await self.look(target.port, via)

        assert isinstance(seen, Failure)
        assert seen.reason in {Reason.RESET, Reason.TLS_HANDSHAKE}

    async def test_a_peer_that_never_ends_is_bounded(self, via: Reach) -> None:
        """By a cap or by the deadline, whichever comes first; never by memory."""
        async with ScriptedTarget(never_ends) as target:
            seen = await self.look(target.port, via, timedelta(seconds=2))

        body = seen.evidence.body
        assert body is None or body.size <= 1 << 20
        assert isinstance(seen, Failure) or body is not None

    async def test_a_forbidden_address_is_our_trouble_and_is_never_connected(self, via: Reach) -> None:
        """Blocked by policy gives unknown, never down."""
        seen = await self.check("169.254.169.254", 80).probe(via, timeout=LATE)

        assert isinstance(seen, Failure)
        assert seen.reason is Reason.BLOCKED_BY_POLICY
        assert seen.reason.is_ours

    async def test_a_check_that_is_cancelled_leaves_nothing_behind(self, via: Reach) -> None:
        """As at a stop: no socket and no file, beside what the first look of all opened for those that follow."""
        async with ScriptedTarget(is_silent) as target:
            await self.look(target.port, via, SOON)
            await target.all_gone()
            before, seen = _descriptors(), target.connections
            probe = asyncio.ensure_future(self.look(target.port, via))
            while target.connections == seen:
                await via.clock.sleep(0.005)
            probe.cancel()

            assert isinstance((await asyncio.gather(probe, return_exceptions=True))[0], asyncio.CancelledError)
            await target.all_gone()
            gc.collect()
            assert _descriptors() <= before

    def test_the_target_that_people_see_holds_no_credential(self) -> None:
        """Nor does its repr."""
        check = self.check("shop.example", 443, secret=CANARY)

        assert "shop.example" in check.target
        assert CANARY not in check.target
        assert CANARY not in repr(check)

    async def test_no_credential_comes_back_from_a_peer_that_repeats_it(self, via: Reach) -> None:
        """Neither in what the check says, nor in the evidence that people see."""
        async with ScriptedTarget(repeats) as target:
            check = self.check("127.0.0.1", target.port, secret=CANARY)
            seen = await check.probe(via, timeout=SOON)

        assert CANARY not in repr(seen)


async def _heard(peer: Peer) -> bytes:
    try:
        async with asyncio.timeout(SOON.total_seconds() / 3):
            return await peer.receive()
    except TimeoutError:
        return b""


class LocalCheckContract:
    """Inherit it, and supply `confidential` and the fixtures `hanging`, a check that never ends by itself, and `via`."""

    def confidential(self, secret: str) -> Check:
        """Return a check that holds this wherever it can hold a credential."""
        raise NotImplementedError

    async def test_what_hangs_is_a_timeout_with_its_phase(self, hanging: Check, via: Reach) -> None:
        """The check keeps its own deadline; it is down then, and never an exception."""
        seen = await hanging.probe(via, timeout=SOON)

        assert isinstance(seen, Failure)
        assert seen.reason is Reason.TIMEOUT
        assert seen.phase == "wait"
        assert seen.evidence.phases.wait is not None

    async def test_a_check_that_is_cancelled_leaves_nothing_behind(self, hanging: Check, via: Reach) -> None:
        """As at a stop: no socket, no pipe and no file."""
        before = _descriptors()
        probe = asyncio.ensure_future(hanging.probe(via, timeout=LATE))
        while _descriptors() <= before:
            await via.clock.sleep(0.005)
        probe.cancel()

        assert isinstance((await asyncio.gather(probe, return_exceptions=True))[0], asyncio.CancelledError)
        gc.collect()
        assert _descriptors() <= before

    def test_the_target_that_people_see_holds_no_credential(self) -> None:
        """Nor does its repr."""
        check = self.confidential(CANARY)

        assert check.target
        assert CANARY not in check.target
        assert CANARY not in repr(check)


class UnprobedCheckContract:
    """Inherit it, and supply `confidential` and the fixture `via`, where the engine itself makes the verdict."""

    def confidential(self, secret: str) -> Check:
        """Return a check that holds this wherever it can hold a credential."""
        raise NotImplementedError

    async def test_looking_at_it_says_that_there_is_nothing_to_look_at(self, via: Reach) -> None:
        """That is no outage of anybody."""
        seen = await self.confidential(CANARY).probe(via, timeout=SOON)

        assert isinstance(seen, Failure)
        assert seen.reason.is_ours
        assert seen.detail

    def test_it_says_how_it_is_watched(self) -> None:
        """With settings of its own, and which of the usual ones mean nothing to it."""
        check = self.confidential(CANARY)

        assert isinstance(check, Unprobed)
        assert check.usual.patience.failures == check.usual.patience.passes == 1
        assert "timeout" in check.unused

    def test_the_target_that_people_see_holds_no_credential(self) -> None:
        """Nor does its repr."""
        check = self.confidential(CANARY)

        assert check.target
        assert CANARY not in check.target
        assert CANARY not in repr(check)


def _descriptors() -> int:
    """Return how many sockets and files this process holds."""
    folder = Path("/proc/self/fd")
    return len(list((folder if folder.exists() else Path("/dev/fd")).iterdir()))

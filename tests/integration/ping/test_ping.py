"""What a ping says: real ICMP, on a loopback and on a wire whose other end is scripted."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from laya_uptime.adapters.checks.ping import PingCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.examination import Finding, examine
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.adapters.net.resolver import Resolver
from laya_uptime.cli.draw import waterfall
from laya_uptime.domain.assertion import parse
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import Monitor, Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Observation, Outcome, PingFacts, Result, Seen
from laya_uptime.testing.laboratory import Laboratory

CLOCK = SystemClock()
SHORT = timedelta(milliseconds=400)
LONG = timedelta(seconds=20)
QUICK = timedelta(milliseconds=20)
PEER = "198.51.100.7"


def probing(
    url: str,
    *,
    timeout: timedelta = LONG,
    count: int = 3,
    family: Literal["any", "ipv4", "ipv6"] = "any",
    resolver: Resolver | None = None,
    allow: Sequence[str] = (),
) -> Callable[[], Awaitable[Seen]]:
    policy = EgressPolicy.parse(allow)

    async def probe() -> Seen:
        reach = GuardedDialer(clock=CLOCK, policy=policy, resolver=resolver, is_online=lambda: True)
        return await PingCheck(url=url, gap=QUICK, count=count, family=family).probe(reach, timeout=timeout)

    return probe


def ping(seen: Seen) -> PingFacts:
    assert seen.evidence.ping is not None
    return seen.evidence.ping


def observed(seen: Seen) -> Observation:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    return Observation(monitor_id="gate", region="local", due=at, at=at, elapsed=timedelta(milliseconds=431), seen=seen)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_host_that_answers_is_up(laboratory: Laboratory, host: str) -> None:
    seen = laboratory.run(probing(f"ping://{host}"))

    assert isinstance(seen, Answer)
    assert seen.evidence.address == host.strip("[]")
    assert (ping(seen).sent, len(ping(seen).rtts), ping(seen).loss) == (3, 3, 0.0)
    assert ping(seen).rtt is not None
    assert ping(seen).rtts == tuple(rtt for rtt in ping(seen).rtts if timedelta(0) < rtt < timedelta(seconds=10))
    assert seen.evidence.phases.wait is not None
    assert judge(observed(seen), Rules()).outcome is Outcome.UP


def test_a_name_is_resolved_and_the_version_can_be_chosen(laboratory: Laboratory) -> None:
    async def resolver(_: str) -> tuple[str, ...]:
        return ("127.0.0.1", "::1")

    first = laboratory.run(probing("ping://gate.example", resolver=resolver))
    sixth = laboratory.run(probing("ping://gate.example", resolver=resolver, family="ipv6"))

    assert (first.evidence.address, sixth.evidence.address) == ("127.0.0.1", "::1")
    assert first.evidence.phases.dns is not None


def test_a_name_without_an_address_of_the_wanted_version_says_so(laboratory: Laboratory) -> None:
    async def resolver(_: str) -> tuple[str, ...]:
        return ("127.0.0.1",)

    seen = laboratory.run(probing("ping://gate.example", resolver=resolver, family="ipv6"))

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.DNS, "gate.example has no IPv6 address")


def test_an_address_without_a_route_is_passed_over(laboratory: Laboratory) -> None:
    async def resolver(_: str) -> tuple[str, ...]:
        return ("2001:db8::7", "127.0.0.1")

    seen = laboratory.run(probing("ping://gate.example", resolver=resolver))

    assert isinstance(seen, Answer)
    assert seen.evidence.address == "127.0.0.1"


def test_a_host_that_nothing_leads_to_is_unreachable(laboratory: Laboratory) -> None:
    seen = laboratory.run(probing("ping://203.0.113.9"))

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.UNREACHABLE, "Network is unreachable")


def test_when_nobody_answers_it_is_down_at_the_deadline(laboratory: Laboratory) -> None:
    seen = laboratory.run(probing(f"ping://{PEER}", timeout=SHORT))

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "wait")
    assert seen.detail == "none of 3 echoes was answered within 0.4 s"
    assert (ping(seen).sent, ping(seen).loss, ping(seen).rtt) == (3, 100.0, None)
    assert laboratory.wire.echoes >= 3


def test_lost_echoes_are_no_outage_but_can_be_preferred_against(laboratory: Laboratory) -> None:
    laboratory.wire.play = lambda packet: [laboratory.wire.reply(packet)] if packet[27] != 2 else []
    rules = Rules(prefer=(parse("ping.loss == 0"),))

    began = CLOCK.monotonic()
    seen = laboratory.run(probing(f"ping://{PEER}"))
    took = CLOCK.monotonic() - began

    assert isinstance(seen, Answer)
    assert (len(ping(seen).rtts), ping(seen).loss) == (2, 33.3)
    assert took < 15  # stragglers get a second, not the whole deadline of twenty
    assert judge(observed(seen), Rules()).outcome is Outcome.UP
    verdict = judge(observed(seen), rules)
    assert (verdict.outcome, verdict.reason) == (Outcome.DEGRADED, Reason.ASSERTION)
    assert verdict.detail == "expected ping.loss == 0, actual ping.loss = 33.3"


def test_the_round_trip_can_be_expected(laboratory: Laboratory) -> None:
    laboratory.wire.play = lambda packet: [laboratory.wire.reply(packet)]
    seen = laboratory.run(probing(f"ping://{PEER}"))

    assert judge(observed(seen), Rules(expect=(parse("ping.rtt < 10s"),))).outcome is Outcome.UP
    assert judge(observed(seen), Rules(expect=(parse("ping.rtt > 10s"),))).outcome is Outcome.DOWN


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        pytest.param(3, 0, "Network is unreachable", id="network"),
        pytest.param(3, 1, "Host is unreachable", id="host"),
        pytest.param(3, 13, "Host is unreachable", id="filtered"),
        pytest.param(11, 0, "Time to live exceeded", id="a routing loop"),
    ],
)
def test_what_a_router_says_is_told(laboratory: Laboratory, kind: int, code: int, said: str) -> None:
    laboratory.wire.play = lambda packet: [laboratory.wire.error(packet, kind, code, sender="198.51.100.254")]

    seen = laboratory.run(probing(f"ping://{PEER}"))

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.UNREACHABLE, f"{said}, says 198.51.100.254")
    assert ping(seen).sent == 3


def test_one_answer_outweighs_what_a_router_says_of_the_others(laboratory: Laboratory) -> None:
    def play(packet: bytes) -> list[bytes]:
        if packet[27] == 3:
            return [laboratory.wire.reply(packet)]
        return [laboratory.wire.error(packet, 3, 1, sender="198.51.100.254")]

    laboratory.wire.play = play
    seen = laboratory.run(probing(f"ping://{PEER}"))

    assert isinstance(seen, Answer)
    assert len(ping(seen).rtts) == 1


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"payload": b"x" * 56}, id="other bytes than were sent"),
        pytest.param({"payload": b""}, id="no bytes"),
        pytest.param({"payload": bytes(1200)}, id="too many bytes"),
        pytest.param({"sender": "198.51.100.8"}, id="another sender"),
        pytest.param({"sequence": 9}, id="an echo that was never sent"),
        pytest.param({"identifier": 1}, id="somebody else's echo"),
    ],
)
def test_an_answer_that_is_none_does_not_count(laboratory: Laboratory, changes: dict[str, object]) -> None:
    laboratory.wire.play = lambda packet: [laboratory.wire.reply(packet, **changes)]

    seen = laboratory.run(probing(f"ping://{PEER}", timeout=SHORT))

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.TIMEOUT


def test_answers_that_come_twice_count_once(laboratory: Laboratory) -> None:
    laboratory.wire.play = lambda packet: [laboratory.wire.reply(packet)] * 5

    seen = laboratory.run(probing(f"ping://{PEER}", count=2))

    assert (ping(seen).sent, len(ping(seen).rtts)) == (2, 2)


def test_a_flood_of_strange_answers_ends_at_the_deadline_and_holds_nobody_up(laboratory: Laboratory) -> None:
    laboratory.wire.play = lambda packet: [laboratory.wire.reply(packet, payload=b"?" * 1000)] * 500
    turns = 0

    async def beside() -> Seen:
        nonlocal turns
        task = asyncio.ensure_future(probing(f"ping://{PEER}", timeout=SHORT, count=10)())
        while not task.done():
            turns += 1
            await CLOCK.sleep(0.01)
        return await task

    seen = laboratory.run(beside)

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.TIMEOUT
    assert turns > 3


def test_a_user_who_may_not_ping_is_told_what_to_run(laboratory: Laboratory) -> None:
    laboratory.allow("1 0")

    seen = laboratory.run(probing("ping://127.0.0.1"))

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.INTERNAL
    assert seen.detail == ('this user may not send pings; run: sysctl -w net.ipv4.ping_group_range="0 2147483647"')
    assert judge(observed(seen), Rules()).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(("groups", "good"), [("0 2147483647", True), ("1 0", None)])
def test_doctor_says_whether_pings_may_be_sent(
    laboratory: Laboratory, tmp_path: Path, groups: str, good: bool | None
) -> None:
    laboratory.allow(groups)

    async def examined() -> Finding:
        return next(finding for finding in examine(tmp_path, CLOCK) if finding.name == "pings")

    finding = laboratory.run(examined)

    assert finding.good is good
    assert ("sysctl -w net.ipv4.ping_group_range=" in finding.what) is (good is None)


def test_the_egress_policy_holds_for_pings_too(laboratory: Laboratory) -> None:
    async def resolver(_: str) -> tuple[str, ...]:
        return ("169.254.169.254",)

    direct = laboratory.run(probing("ping://169.254.169.254"))
    named = laboratory.run(probing("ping://metadata.example", resolver=resolver))
    opened = laboratory.run(probing("ping://169.254.169.254", allow=["169.254.169.254"]))

    reasons = [seen.reason for seen in (direct, named, opened) if isinstance(seen, Failure)]
    assert reasons == [Reason.BLOCKED_BY_POLICY, Reason.BLOCKED_BY_POLICY, Reason.UNREACHABLE]


def test_a_cancelled_ping_leaves_no_socket(laboratory: Laboratory) -> None:
    async def cancelled() -> None:
        task = asyncio.ensure_future(probing(f"ping://{PEER}")())
        await CLOCK.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    laboratory.run(cancelled)  # a socket that is left open is a ResourceWarning, which is an error here


async def test_on_this_machine_as_it_is_the_loopback_answers_or_the_remedy_is_told() -> None:
    seen = await probing("ping://127.0.0.1", count=1)()

    assert isinstance(seen, Answer) or (seen.reason is Reason.INTERNAL and "sysctl -w net.ipv4.ping" in seen.detail)


async def test_a_name_server_that_never_answers_is_named() -> None:
    async def resolver(_: str) -> tuple[str, ...]:
        await asyncio.Event().wait()
        return ()

    seen = await probing("ping://slow.example", timeout=SHORT, resolver=resolver)()

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.phase) == (Reason.TIMEOUT, "dns")
    assert seen.detail == "no answer within 0.4 s (looking up the name)"


def test_a_ping_is_drawn_with_its_losses_and_round_trips(laboratory: Laboratory) -> None:
    laboratory.wire.play = lambda packet: [laboratory.wire.reply(packet)] if packet[27] != 2 else []
    seen = laboratory.run(probing(f"ping://{PEER}"))
    observation = observed(seen)

    drawn = waterfall(
        Monitor(id="gate", name="Gate", target=f"ping://{PEER}"),
        Result(observation=observation, verdict=judge(observation, Rules())),
    )

    assert drawn.splitlines()[0].split() == ["✓", "Gate", "up", "431", "ms"]
    assert f"  connected to {PEER}" in drawn
    assert "  echoes answered: 2 of 3, 33.3 % lost" in drawn
    assert "(least / median / most)" in drawn


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "ping://"}, "the URL must be ping:// and a host"),
        ({"url": "ping://gate:80"}, "a ping has no port"),
        ({"url": "ping://user:secret@gate"}, "the URL must be ping:// and a host"),
        ({"url": "ping://gate/path"}, "without a port or a path"),
        ({"url": "ping://::1"}, "needs brackets"),
        ({"url": "ping://a b"}, "the host is not a name"),
        ({"url": "ping://[::1]", "family": "ipv4"}, "is an IPv6 address and no ipv4 one"),
        ({"url": "ping://gate", "gap": timedelta(milliseconds=1)}, "gap must be from 10ms to 10s"),
        ({"url": "ping://gate", "count": 101}, "count must be from 1 to 100"),
    ],
)
def test_what_cannot_be_pinged_is_refused_without_repeating_it(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        PingCheck(**options)

    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_target_is_the_plain_form_of_the_host() -> None:
    assert PingCheck(url="PING://0x7f.1/").target == "ping://127.0.0.1"
    assert PingCheck(url="ping://[::0:1]").target == "ping://[::1]"

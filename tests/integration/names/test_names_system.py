"""Looking names up as this machine is told to in its own files, against real name servers."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from laya_uptime.adapters.checks.dns import DnsCheck
from laya_uptime.adapters.net import dialer
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.dns import NameServer
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import DnsFacts, Failure
from laya_uptime.ports import Fault, Purpose
from laya_uptime.testing.nameserver import Asked, Script, ScriptedNameServer, Zone, knows, silence

Dialers = Callable[..., GuardedDialer]

ZONE: Zone = {
    "shop.test": {"A": ["127.0.0.9"], "AAAA": ["::1"]},
    "old.test": {"A": ["127.0.0.9"]},
    "new.test": {"AAAA": ["2001:db8::9"]},
    "db.corp.test": {"A": ["127.0.0.8"]},
    "a.b.corp.test": {"A": ["127.0.0.7"]},
    "alias.test": {"CNAME": ["old.test"]},
    "empty.test": {"TXT": ['"x"']},
}


async def look_up(
    reach: GuardedDialer, name: str, resolver: NameServer | None = None
) -> tuple[set[str], Failure, DnsFacts | None]:
    """Return the addresses of a name, the failure of connecting to port 1 there, and what the name server said."""
    trail = ExchangeTrail(reach.clock)
    with pytest.raises(Fault) as caught:
        await reach.connect(name, 1, purpose=Purpose.CHECK, resolver=resolver, trail=trail)
    return set(trail.addresses), caught.value.failure, trail.dns


def resolv(etc: Path, *lines: str) -> None:
    (etc / "resolv.conf").write_text("\n".join(["nameserver 127.0.0.1", *lines, ""]))


async def test_both_families_are_asked_at_once(on_port: Dialers, etc: Path) -> None:
    resolv(etc)
    both = asyncio.Event()

    async def script(asked: Asked) -> None:
        if len(asked.server.asked) == 2:
            both.set()
        await both.wait()  # answering the first only once the second is there
        await knows(ZONE)(asked)

    async with ScriptedNameServer(script) as server:
        addresses, failure, facts = await look_up(on_port(server.port), "shop.test")

    assert addresses == {"127.0.0.9", "::1"}
    assert failure.reason is Reason.REFUSED
    assert {asked.record for asked in server.asked} == {"A", "AAAA"}
    assert facts == DnsFacts(
        name="shop.test",
        record="A, AAAA",
        server=f"127.0.0.1:{server.port}",
        rcode="NOERROR",
        answers=("127.0.0.9", "::1"),
    )
    assert failure.evidence.dns == facts


@pytest.mark.parametrize("has_ipv6", [True, False])
async def test_ipv6_comes_first_where_this_machine_has_it(
    on_port: Dialers, etc: Path, has_ipv6: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolv(etc)
    monkeypatch.setattr(dialer, "_has_public_ipv6", lambda: has_ipv6)
    async with ScriptedNameServer(knows(ZONE)) as server:
        _, failure, _ = await look_up(on_port(server.port), "shop.test")

    assert failure.evidence.addresses == (("::1", "127.0.0.9") if has_ipv6 else ("127.0.0.9", "::1"))


async def test_each_check_asks_anew(on_port: Dialers, etc: Path) -> None:
    resolv(etc)
    async with ScriptedNameServer(knows(ZONE)) as server:
        reach = on_port(server.port)
        for _ in range(3):
            await look_up(reach, "old.test")

    assert len(server.asked) == 6


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("nope.test", "no such name: nope.test (NXDOMAIN)"),
        ("empty.test", "no address for empty.test (NODATA)"),
        ("nope", "no such name: nope (NXDOMAIN)"),
    ],
)
async def test_a_name_without_an_address_has_its_exact_cause(
    on_port: Dialers, etc: Path, name: str, detail: str
) -> None:
    resolv(etc, "search corp.test")
    async with ScriptedNameServer(knows(ZONE)) as server:
        addresses, failure, _ = await look_up(on_port(server.port), name)

    assert (addresses, failure.reason, failure.detail) == (set(), Reason.DNS, detail)


@pytest.mark.parametrize(
    ("name", "options", "asked"),
    [
        ("db", "search corp.test", ["db.corp.test"]),
        ("db", "domain corp.test", ["db.corp.test"]),
        ("db", "search x.test corp.test", ["db.x.test", "db.corp.test"]),
        ("a.b", "search corp.test", ["a.b", "a.b.corp.test"]),
        ("a.b", "search corp.test\noptions ndots:2", ["a.b.corp.test"]),
        ("old.test", "search corp.test", ["old.test"]),
        ("old.test", "search corp.test\noptions ndots:5", ["old.test.corp.test", "old.test"]),
        ("old.test.", "search corp.test\noptions ndots:5", ["old.test"]),
        ("db.", "search corp.test", ["db"]),
        ("old.test", "options ndots:0 ndots:x no-aaaa", ["old.test"]),
    ],
)
async def test_search_domains_and_ndots_are_tried_in_their_order(
    on_port: Dialers, etc: Path, name: str, options: str, asked: list[str]
) -> None:
    resolv(etc, options)
    async with ScriptedNameServer(knows(ZONE)) as server:
        await look_up(on_port(server.port), name)

    assert list(dict.fromkeys(each.name for each in server.asked)) == asked
    assert {each.record for each in server.asked} == ({"A"} if "no-aaaa" in options else {"A", "AAAA"})


async def test_the_hosts_file_comes_first_and_is_read_again_when_it_changes(on_port: Dialers, etc: Path) -> None:
    resolv(etc)
    hosts = etc / "hosts"
    hosts.write_text(
        "# 127.0.0.6 shop.test\n127.0.0.5\tSHOP.test shop # mine\r\nnonsense shop.test\n127.0.0.4 xshop.test\n"
    )
    async with ScriptedNameServer(knows(ZONE)) as server:
        reach = on_port(server.port)
        first, _, facts = await look_up(reach, "Shop.Test")
        dotted, _, _ = await look_up(reach, "shop.test.")
        hosts.write_text("127.0.0.6 shop.test\n::1 shop.test\n")
        second, _, _ = await look_up(reach, "shop.test")
        asked_before = len(server.asked)
        hosts.unlink()
        third, _, _ = await look_up(reach, "shop.test")

    assert (first, dotted, second, third) == ({"127.0.0.5"}, {"127.0.0.5"}, {"127.0.0.6", "::1"}, {"127.0.0.9", "::1"})
    assert facts is None
    assert asked_before == 0


async def test_resolv_conf_is_read_again_when_it_changes(on_port: Dialers, etc: Path) -> None:
    resolv(etc, "search x.test")
    async with ScriptedNameServer(knows(ZONE)) as server:
        reach = on_port(server.port)
        before, _, _ = await look_up(reach, "db")
        other = etc / "other.conf"
        other.write_text("nameserver 127.0.0.1\nsearch corp.test\n")
        other.replace(etc / "resolv.conf")
        after, _, _ = await look_up(reach, "db")

    assert (before, after) == (set(), {"127.0.0.8"})


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST.", "app.localhost", "a.b.localhost."])
@pytest.mark.parametrize("resolver", [None, NameServer("127.0.0.1", 1)])
async def test_localhost_never_leaves_the_machine(on_port: Dialers, name: str, resolver: NameServer | None) -> None:
    addresses, failure, _ = await look_up(on_port(1), name, resolver)

    assert addresses == {"127.0.0.1", "::1"}
    assert failure.reason is Reason.REFUSED


async def test_localhost_is_what_the_hosts_file_says(on_port: Dialers, etc: Path) -> None:
    (etc / "hosts").write_text("127.0.0.3 localhost app.localhost\n")

    addresses, _, _ = await look_up(on_port(1), "app.localhost")

    assert addresses == {"127.0.0.3"}


async def test_with_a_resolver_of_its_own_nobody_and_nothing_else_is_asked(on_port: Dialers, etc: Path) -> None:
    resolv(etc, "search corp.test")
    (etc / "hosts").write_text("127.0.0.5 shop.test\n")
    async with ScriptedNameServer(knows(ZONE)) as server:
        reach = on_port(1, platform="darwin")
        found, _, _ = await look_up(reach, "shop.test", NameServer("127.0.0.1", server.port))
        missing, failure, _ = await look_up(reach, "db", NameServer("127.0.0.1", server.port))

    assert (found, missing) == ({"127.0.0.9", "::1"}, set())
    assert failure.detail == "no such name: db (NXDOMAIN)"


async def both(stack: AsyncExitStack, first: Script, second: Script) -> tuple[ScriptedNameServer, ScriptedNameServer]:
    one = await stack.enter_async_context(ScriptedNameServer(first))
    two = await stack.enter_async_context(ScriptedNameServer(second, host="127.0.0.2", port=one.port))
    return one, two


async def fails(asked: Asked) -> None:
    await asked.send(asked.reply(rcode="SERVFAIL"))


async def refuses(asked: Asked) -> None:
    await asked.send(asked.reply(rcode="REFUSED"))


@pytest.mark.parametrize("first", [silence, fails, refuses])
async def test_the_next_server_is_asked_when_the_first_is_of_no_use(on_port: Dialers, etc: Path, first: Script) -> None:
    resolv(etc, "nameserver 127.0.0.2")
    async with AsyncExitStack() as stack:
        one, _ = await both(stack, first, knows(ZONE))
        addresses, _, facts = await look_up(on_port(one.port), "old.test")

    assert addresses == {"127.0.0.9"}
    assert facts is not None
    assert facts.server == f"127.0.0.2:{one.port}"


async def test_a_server_that_nobody_runs_is_passed_over_at_once(on_port: Dialers, etc: Path) -> None:
    (etc / "resolv.conf").write_text("nameserver 127.0.0.3\nnameserver 127.0.0.1\noptions timeout:30\n")
    async with ScriptedNameServer(knows(ZONE)) as server:
        addresses, _, _ = await look_up(on_port(server.port), "old.test")

    assert addresses == {"127.0.0.9"}


async def test_all_servers_that_fail_twice_are_a_failure_with_its_code(on_port: Dialers, etc: Path) -> None:
    resolv(etc)
    async with ScriptedNameServer(fails) as server:
        _, failure, facts = await look_up(on_port(server.port), "old.test")
        _, offline, _ = await look_up(on_port(server.port, online=False), "old.test")

    assert (failure.reason, failure.detail) == (
        Reason.DNS,
        f"name server 127.0.0.1:{server.port} failed for old.test (SERVFAIL)",
    )
    assert facts is not None
    assert facts.rcode == "SERVFAIL"
    assert offline.reason is Reason.PROBE_OFFLINE
    assert len([asked for asked in server.asked if asked.record == "A"]) == 4


async def test_one_failure_is_not_taken_for_the_last_word(on_port: Dialers, etc: Path) -> None:
    resolv(etc)
    failed: set[str] = set()

    async def script(asked: Asked) -> None:
        await (knows(ZONE) if asked.record in failed else fails)(asked)
        failed.add(asked.record)

    async with ScriptedNameServer(script) as server:
        addresses, _, _ = await look_up(on_port(server.port), "old.test")

    assert addresses == {"127.0.0.9"}


@pytest.mark.parametrize(("online", "reason"), [(True, Reason.DNS), (False, Reason.PROBE_OFFLINE)])
async def test_silence_is_waited_out_as_long_as_the_options_say(
    on_port: Dialers, etc: Path, online: bool, reason: Reason
) -> None:
    resolv(etc, "options timeout:1 attempts:1")
    async with ScriptedNameServer(silence) as server:
        _, failure, _ = await look_up(on_port(server.port, online=online), "old.test")

    assert failure.reason is reason
    if online:
        assert failure.detail == f"name server 127.0.0.1:{server.port} did not answer (looking up old.test)"


async def test_refusing_servers_are_a_dns_fault_of_whoever_needs_the_name(on_port: Dialers, etc: Path) -> None:
    resolv(etc, "nameserver 127.0.0.2")
    _, failure, _ = await look_up(on_port(1), "old.test")

    assert (failure.reason, failure.detail) == (
        Reason.DNS,
        "name server 127.0.0.1:1: Connection refused (looking up old.test)",
    )


async def test_a_server_that_drops_questions_for_aaaa_makes_no_check_slow(on_port: Dialers, etc: Path) -> None:
    resolv(etc, "options timeout:30 attempts:5")  # it would be waited for longer than a test may take

    async def script(asked: Asked) -> None:
        if asked.record == "A":
            await knows(ZONE)(asked)

    async with ScriptedNameServer(script) as server:
        addresses, _, facts = await look_up(on_port(server.port), "old.test")

    assert addresses == {"127.0.0.9"}
    assert facts is not None
    assert facts.record == "A"


async def test_a_server_that_fails_for_one_family_leaves_the_other(on_port: Dialers, etc: Path) -> None:
    resolv(etc)

    async def script(asked: Asked) -> None:
        await (fails if asked.record == "AAAA" else knows(ZONE))(asked)

    async with ScriptedNameServer(script) as server:
        addresses, _, _ = await look_up(on_port(server.port), "shop.test")
        _, failure, _ = await look_up(on_port(server.port), "new.test")

    assert addresses == {"127.0.0.9"}
    assert "SERVFAIL" in failure.detail


async def test_silence_about_a_longer_form_is_not_explained_by_the_shorter_one(on_port: Dialers, etc: Path) -> None:
    resolv(etc, "search corp.test", "options timeout:1 attempts:1")

    async def script(asked: Asked) -> None:
        if asked.name == "a.b.c":
            await knows(ZONE)(asked)

    async with ScriptedNameServer(script) as server:
        _, failure, facts = await look_up(on_port(server.port), "a.b.c")

    assert failure.detail.endswith("did not answer (looking up a.b.c)")
    assert facts is None


async def test_use_vc_asks_over_tcp_and_rotate_takes_turns(on_port: Dialers, etc: Path) -> None:
    resolv(etc, "nameserver 127.0.0.2", "options use-vc rotate")
    async with AsyncExitStack() as stack:
        one, two = await both(stack, knows(ZONE), knows(ZONE))
        reach = on_port(one.port)
        for _ in range(4):
            await look_up(reach, "old.test")

    assert all(asked.over_tcp for asked in [*one.asked, *two.asked])
    assert (len(one.asked), len(two.asked)) == (4, 4)


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("hosts: files dns", True),
        ("hosts:\tfiles  dns myhostname # usual", True),
        ("hosts: files myhostname dns", True),
        ("hosts: files mdns4_minimal [NOTFOUND=return] dns", False),
        ("hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns", False),
        ("hosts: files ldap dns", False),
        ("hosts: dns files", False),
        ("hosts: files", False),
        ("hosts: files [SUCCESS=merge] dns", False),
        ("passwd: files", True),
        ("", True),
    ],
)
async def test_where_the_machine_has_other_sources_of_names_it_is_asked_itself(
    on_port: Dialers, etc: Path, line: str, ours: bool
) -> None:
    resolv(etc)
    (etc / "nsswitch.conf").write_text(f"{line}\n")

    async def of_the_system(name: str) -> tuple[str, ...]:
        return ("127.0.0.2",)

    async with ScriptedNameServer(knows(ZONE)) as server:
        reach = on_port(server.port)
        reach._resolve = of_the_system
        addresses, _, facts = await look_up(reach, "old.test")

    assert addresses == ({"127.0.0.9"} if ours else {"127.0.0.2"})
    assert (facts is not None) is ours


@pytest.mark.parametrize(
    ("platform", "environ", "name"),
    [
        ("darwin", {}, "old.test"),
        ("win32", {}, "old.test"),
        ("linux", {"RES_OPTIONS": "ndots:3"}, "old.test"),
        ("linux", {"LOCALDOMAIN": "corp.test"}, "old.test"),
        ("linux", {"HOSTALIASES": "/etc/aliases"}, "old.test"),
        ("linux", {}, "_gateway"),
        ("linux", {}, socket.gethostname().lower()),
    ],
)
async def test_what_only_the_system_knows_the_system_is_asked(
    on_port: Dialers, platform: str, environ: dict[str, str], name: str
) -> None:
    async def of_the_system(_: str) -> tuple[str, ...]:
        return ("127.0.0.2",)

    reach = on_port(1, platform=platform, **environ)
    reach._resolve = of_the_system

    addresses, _, _ = await look_up(reach, name)

    assert addresses == {"127.0.0.2"}


async def test_a_dns_check_without_a_resolver_asks_those_of_the_machine(on_port: Dialers, etc: Path) -> None:
    resolv(etc, "nameserver 127.0.0.2", "search corp.test")
    (etc / "hosts").write_text("127.0.0.5 db\n")
    async with AsyncExitStack() as stack:
        one, _ = await both(stack, silence, knows(ZONE))
        seen = await DnsCheck(query="db").probe(on_port(one.port), timeout=timedelta(seconds=20))

    assert seen.evidence.dns is not None
    assert (seen.evidence.dns.rcode, seen.evidence.dns.name) == ("NXDOMAIN", "db")


async def test_no_name_server_written_down_is_the_one_on_this_machine(on_port: Dialers, etc: Path) -> None:
    (etc / "resolv.conf").write_text("nameserver dns.example\n; nameserver 192.0.2.1\nnonsense\n")
    async with ScriptedNameServer(knows(ZONE)) as server:
        addresses, _, _ = await look_up(on_port(server.port), "old.test")

    assert addresses == {"127.0.0.9"}


async def test_r10_a_file_that_this_machine_cannot_open_now_is_our_trouble(
    on_port: Dialers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path) -> os.stat_result:
        raise OSError(errno.EMFILE, "")

    reach = on_port(1)
    monkeypatch.setattr(Path, "stat", fail)
    _, failure, _ = await look_up(reach, "old.test")

    assert (failure.reason, failure.detail) == (Reason.INTERNAL, "too many open files while looking up old.test")


async def test_r10_a_socket_that_this_machine_cannot_open_now_is_our_trouble(
    on_port: Dialers, etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolv(etc, "nameserver 127.0.0.2")

    async def fail(server: NameServer, *args: object, **how: object) -> None:
        raise OSError(errno.EMFILE if server.address == "127.0.0.2" else errno.ECONNREFUSED, "")

    monkeypatch.setattr("laya_uptime.adapters.net.names.asking.over_udp", fail)
    _, failure, _ = await look_up(on_port(1), "old.test")

    assert (failure.reason, failure.detail) == (Reason.INTERNAL, "too many open files while looking up old.test")


async def test_a_name_that_is_too_long_once_completed_is_not_completed(on_port: Dialers, etc: Path) -> None:
    name = ".".join(["a" * 60] * 4)
    resolv(etc, f"search {'b' * 60}.test", "options ndots:9")
    async with ScriptedNameServer(knows(ZONE)) as server:
        _, failure, _ = await look_up(on_port(server.port), name)

    assert failure.reason is Reason.DNS
    assert {asked.name for asked in server.asked} == {name}

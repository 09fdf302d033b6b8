"""A question to a name server from the command line, drawn for a person and as JSON."""

import asyncio
import json
import sys

from laya_uptime.testing.nameserver import ScriptedNameServer, Zone, knows

ZONE: Zone = {"shop.test": {"A": ["192.0.2.1", "192.0.2.2"]}, "www.shop.test": {"CNAME": ["shop.test"]}}


async def run(*words: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "laya_uptime", "check", *words), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_the_answer_is_drawn_with_its_code_aliases_and_records() -> None:
    async with ScriptedNameServer(knows(ZONE, authenticated=True)) as server:
        code, drawn = await run(
            f"dns://127.0.0.1:{server.port}/www.shop.test", "--expect", 'dns.answers contains "192.0.2.2"'
        )

    lines = drawn.splitlines()
    assert code == 0
    assert f"  dns://127.0.0.1:{server.port}/www.shop.test?type=A" in lines
    assert f"  NOERROR from 127.0.0.1:{server.port} for www.shop.test A (authenticated)" in lines
    assert {"  alias of shop.test", "    192.0.2.1", "    192.0.2.2"} <= set(lines)


async def test_a_code_that_nobody_expects_is_down() -> None:
    async with ScriptedNameServer(knows(ZONE)) as server:
        code, told = await run(f"dns://127.0.0.1:{server.port}/nope.test?type=MX", "--json")

    result = json.loads(told)
    assert code == 1
    assert (result["outcome"], result["reason"]) == ("down", "dns")
    assert result["detail"] == "no such name: nope.test (NXDOMAIN)"
    assert result["evidence"]["dns"] == {
        "name": "nope.test",
        "record": "MX",
        "server": f"127.0.0.1:{server.port}",
        "rcode": "NXDOMAIN",
    }

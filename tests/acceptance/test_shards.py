"""`serve --shards N`: as one process, on several cores; a probe process that dies is our trouble and nobody else's."""

import os
import signal
import sqlite3
from pathlib import Path

import pytest

from laya_uptime.adapters.stores.sqlite import FILE
from laya_uptime.testing.program import Installation, Program
from laya_uptime.testing.services import REFUSES, Services

MANY = 200


def a_file(laya: Installation, services: Services, *, every: int, count: int = MANY) -> Path:
    file = laya.directory / "laya-uptime.yaml"
    lines = [f"  shop-{place}: {services.url('gibbon-cms', f'/{place}')}" for place in range(count)]
    file.write_text(
        "\n".join([f"defaults: {{ every: {every}s, timeout: {every * 1000 - 1}ms, confirm: 1 }}", "monitors:", *lines])
    )
    return file


def children(program: Program) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()]


def rows(laya: Installation, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(laya.data / FILE) as database:
        return database.execute(query).fetchall()


def test_two_processes_look_at_everything_and_one_keeps_it(laya: Installation, services: Services) -> None:
    serving = laya.start("serve", "--config", a_file(laya, services, every=10), "--shards", "2")

    serving.wait_for("Probe processes: 2")
    for place in range(MANY):
        serving.wait_for(rf"✓ shop-{place}: up \(200\)")
    shards = children(serving)
    assert serving.end(signal.SIGTERM) == 0

    assert len(shards) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in shards)
    assert serving.messages[-1] == "INFO laya-uptime stopped"
    assert [line for line in serving.messages if line.startswith("ERROR")] == []
    assert rows(laya, "SELECT count(*) FROM monitor_status WHERE status = 'up'") == [(MANY,)]


def test_a_probe_process_that_dies_makes_no_service_look_down(laya: Installation, services: Services) -> None:
    serving = laya.start("serve", "-c", a_file(laya, services, every=3, count=20), "--shards", "2")
    serving.wait_for(r"✓ shop-\d+:", times=40)

    os.kill(children(serving)[0], signal.SIGKILL)
    serving.wait_for("ERROR - Probe process . of 2 was killed by SIGKILL, starting it again in 1 s")
    serving.wait_for("INFO - Probe process . of 2 looks at its monitors again")
    after = len(serving.lines)
    for place in range(20):
        serving.wait_for(rf"✓ shop-{place}: up", after=after)
    assert serving.end() == 0

    assert not [line for line in serving.messages if "✗" in line or "ALERT" in line]
    assert rows(laya, "SELECT count(*) FROM incident") == [(0,)]


def test_an_outage_is_found_and_ends_as_in_one_process(laya: Installation, services: Services) -> None:
    serving = laya.start("serve", "-c", a_file(laya, services, every=1, count=2), "--shards", "2")
    serving.wait_for(r"✓ shop-0: up")

    services.put("gibbon-cms", REFUSES)
    serving.wait_for("🚨 shop-0: ALERT - 1 consecutive failures")
    services.put("gibbon-cms", lambda caller: caller.say(b"HTTP/1.1 204 No Content\r\n\r\n"))
    serving.wait_for("🔄 shop-0: RECOVERED after")

    assert serving.end() == 0


def test_jobs_and_groups_stay_in_the_process_that_keeps_the_store(laya: Installation, services: Services) -> None:
    file = laya.directory / "laya-uptime.yaml"
    url = services.url("gibbon-cms")
    shops = "".join(f"  shop-{place}: {{ url: '{url}/{place}', every: 1s, timeout: 900ms }}\n" for place in range(2))
    file.write_text(
        f"monitors:\n{shops}  job: {{ heartbeat: 1h }}\n  all: {{ members: [shop-0, shop-1, job], every: 1s }}\n"
    )
    serving = laya.start("serve", "--config", file, "--shards", "2")

    serving.wait_for("✓ shop-1: up")
    assert laya.run("ping", "job").code == 0
    serving.wait_for("✓ job: up")
    serving.wait_for("✓ all: up", times=2)
    assert serving.end() == 0

    assert not [line for line in serving.messages if "✗" in line or line.startswith("ERROR")]
    assert rows(laya, "SELECT count(*) FROM monitor_status WHERE status = 'up'") == [(4,)]


def test_auto_keeps_a_small_installation_in_one_process(laya: Installation, services: Services) -> None:
    serving = laya.start("serve", "-c", a_file(laya, services, every=5, count=3), "--shards", "auto")
    serving.wait_for(r"✓ shop-2: up")

    assert children(serving) == []
    assert serving.end() == 0
    assert not [line for line in serving.messages if "Probe processes" in line]


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5", "65", "9999999999999", "²"])
def test_what_is_no_number_of_processes_is_refused(laya: Installation, services: Services, number: str) -> None:
    ended = laya.run("serve", "-c", a_file(laya, services, every=5, count=1), f"--shards={number}")

    assert ended.code == 2
    assert ended.err.startswith("laya-uptime: --shards: ")
    assert "is no number of processes from 1 to 64" in ended.err

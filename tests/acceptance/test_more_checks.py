"""Checks beyond HTTP, as people use them: from the command line and from a file."""

import json
import re
import threading
from collections.abc import Iterator

import pytest
from websockets.sync.server import ServerConnection, serve

from laya_uptime.testing.program import Installation


@pytest.fixture
def echo_url() -> Iterator[str]:
    """A WebSocket server that says hello and closes in peace."""

    def handler(peer: ServerConnection) -> None:
        for message in peer:
            peer.send(message)

    with serve(handler, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/live"
        server.shutdown()
        thread.join()


def test_a_websocket_is_checked_from_the_command_line(laya: Installation, echo_url: str) -> None:
    ended = laya.run("check", echo_url, "--expect", "status == 101")

    assert (ended.code, ended.err) == (0, "")
    first, second, *rest = ended.out.splitlines()
    assert re.fullmatch(rf"✓ {echo_url.removeprefix('ws://')} +up \(101\) +\d+ ms", first)
    assert second.strip() == echo_url
    assert [line.split()[0] for line in rest if "█" in line] == ["connect", "send", "wait"]


def test_a_ping_from_the_command_line_is_answered_or_says_what_to_run(laya: Installation) -> None:
    ended = laya.run("check", "ping://127.0.0.1", "--json")
    told = json.loads(ended.out)

    if told["outcome"] == "unknown":
        assert (ended.code, told["reason"]) == (1, "internal")
        assert "sysctl -w net.ipv4.ping_group_range=" in told["detail"]
    else:
        assert (ended.code, told["outcome"]) == (0, "up")
        assert told["evidence"]["ping"]["received"] == 3


def test_a_program_from_the_command_line_is_refused(laya: Installation) -> None:
    ended = laya.run("check", "exec:///bin/true")

    assert ended.code == 2
    assert "no check is called 'exec'" in ended.err


def test_a_file_without_permission_for_programs_is_refused_with_the_remedy(laya: Installation) -> None:
    file = laya.directory / "laya-uptime.yaml"
    file.write_text("monitors:\n  a: {type: exec, command: [/bin/true]}\n", encoding="utf-8")

    refused = laya.run("validate")
    file.write_text("exec: { allow: true }\n" + file.read_text("utf-8"), encoding="utf-8")
    allowed = laya.run("validate")

    assert (refused.code, allowed.code) == (2, 0)
    assert "this file does not allow checks of type exec" in refused.err + refused.out
    assert "Write exec: { allow: true } beside monitors:." in refused.err + refused.out


def test_programs_and_functions_are_watched_by_the_service(laya: Installation) -> None:
    (laya.directory / "checks.py").write_text("async def orders():\n    return 'no orders since noon'\n", "utf-8")
    (laya.directory / "laya-uptime.yaml").write_text(
        "exec: { allow: true }\npython: { allow: true }\ndefaults: { confirm: 1 }\nmonitors:\n"
        "  load: { type: exec, command: [sh, -c, 'echo \"LOAD high | load1=9\"; exit 1'] }\n"
        "  shop: { type: python, call: 'checks.py:orders' }\n",
        encoding="utf-8",
    )

    serving = laya.start("serve")
    serving.wait_for("load: degraded")
    serving.wait_for("shop: unhealthy")

    assert serving.end() == 0

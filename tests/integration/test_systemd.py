"""What the service manager hears: one datagram each, on a path or an abstract address, and never an error of ours."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from laya_uptime.adapters.systemd import SystemdWatchdog


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """$NOTIFY_SOCKET and the socket behind it."""
    if request.param == "path":
        told = address = str(tmp_path / "notify")
    else:
        told = f"@laya-uptime-test-{tmp_path.name}"
        address = "\0" + told[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(5)
        yield told, listener


def test_ready_alive_and_stopping_are_one_datagram_each(manager: tuple[str, socket.socket]) -> None:
    address, listener = manager
    watchdog = SystemdWatchdog({"NOTIFY_SOCKET": address})

    watchdog.ready()
    watchdog.alive()
    watchdog.alive()
    watchdog.stopping()

    heard = [listener.recv(4096) for _ in range(4)]
    assert heard == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"STOPPING=1"]


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}])
def test_outside_a_unit_nothing_is_said(environ: dict[str, str]) -> None:
    watchdog = SystemdWatchdog(environ)

    watchdog.ready()
    watchdog.alive()
    watchdog.stopping()


@pytest.mark.parametrize("address", ["/nowhere/notify", "@laya-uptime-nobody-listens", "x" * 500, "vsock:2:1234"])
def test_a_manager_that_is_not_there_stops_nothing(address: str) -> None:
    SystemdWatchdog({"NOTIFY_SOCKET": address}).alive()


def test_a_manager_that_does_not_read_holds_up_nothing(manager: tuple[str, socket.socket]) -> None:
    """The queue of datagrams is short; what does not fit is not waited for."""
    address, listener = manager
    watchdog = SystemdWatchdog({"NOTIFY_SOCKET": address})

    for _ in range(2000):
        watchdog.alive()

    assert listener.recv(4096) == b"WATCHDOG=1"
    watchdog.stopping()


def test_the_environment_is_the_process_s_own_unless_told_otherwise(
    manager: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, listener = manager
    monkeypatch.setenv("NOTIFY_SOCKET", address)

    SystemdWatchdog().ready()

    assert listener.recv(4096) == b"READY=1"

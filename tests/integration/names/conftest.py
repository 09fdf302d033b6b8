"""A dialer on an /etc of its own, and what no test may leave behind."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.adapters.net.names.system import SystemNames
from laya_uptime.domain.egress import EgressPolicy


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """An /etc with the usual order of sources and nothing else."""
    (tmp_path / "nsswitch.conf").write_text("passwd: files\nhosts: files dns\n")
    return tmp_path


@pytest.fixture
def on_port(etc: Path) -> Callable[[int], GuardedDialer]:
    """Return a dialer that looks names up as `etc` says, from name servers on this port."""

    async def never(name: str) -> tuple[str, ...]:
        raise AssertionError(f"the system is asked for {name}")

    def build(port: int, *, platform: str = "linux", online: bool = True, **environ: str) -> GuardedDialer:
        clock = SystemClock()
        names = SystemNames(clock=clock, etc=etc, port=port, platform=platform, environ=environ)
        dialer = GuardedDialer(clock=clock, policy=EgressPolicy(), names=names, is_online=lambda: online)
        dialer._resolve = never
        return dialer

    return build


@pytest.fixture
def reach(on_port: Callable[[int], GuardedDialer]) -> GuardedDialer:
    """A dialer for checks that name their name server themselves."""
    return on_port(1)


@pytest.fixture(autouse=True)
def no_socket_left() -> Iterator[None]:
    """Fail a test that leaves more sockets open than it found."""
    before = _sockets()
    yield
    assert _sockets() <= before


def _sockets() -> int:
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except OSError:  # the one that lists them
            continue
    return sum(link.startswith("socket:") for link in links)

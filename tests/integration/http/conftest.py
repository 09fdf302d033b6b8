"""Every test here holds on both ways of waiting for sockets: epoll, and the loop's own selector where there is none."""

import select

import pytest

from laya_uptime.adapters.net import dialer
from laya_uptime.adapters.net.poll import EpollPoll, LoopPoll


@pytest.fixture(
    autouse=True,
    params=[
        pytest.param(
            EpollPoll,
            id="epoll",
            marks=pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll"),
        ),
        pytest.param(LoopPoll, id="selector"),
    ],
)
def _poll(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer, "make_poll", request.param)

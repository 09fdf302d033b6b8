"""The WebSocket check keeps what every check promises."""

import pytest

from laya_uptime.adapters.checks.ws import WsCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Check, Reach
from laya_uptime.testing.check_contract import CheckContract


class TestWsContract(CheckContract):
    @pytest.fixture
    def via(self) -> Reach:
        return GuardedDialer(clock=SystemClock(), policy=EgressPolicy())

    def check(self, host: str, port: int, *, secret: str = "") -> Check:
        userinfo = f"user:{secret}@" if secret else ""
        return WsCheck(
            url=Secret(f"ws://{userinfo}{host}:{port}/live?token={secret}"),
            headers={"X-Auth": Secret(secret)} if secret else {},
            send=Secret(secret or "hello"),
        )

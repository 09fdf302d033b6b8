"""The HTTP check keeps what every check promises."""

import pytest

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Check, Reach
from laya_uptime.testing.check_contract import CheckContract


class TestHttpContract(CheckContract):
    @pytest.fixture
    def via(self) -> Reach:
        return GuardedDialer(clock=SystemClock(), policy=EgressPolicy())

    def check(self, host: str, port: int, *, secret: str = "") -> Check:
        userinfo = f"user:{secret}@" if secret else ""
        return HttpCheck(
            url=Secret(f"http://{userinfo}{host}:{port}/health?token={secret}"),
            headers={"Authorization": Secret(f"Bearer {secret}")} if secret and not userinfo else {},
        )

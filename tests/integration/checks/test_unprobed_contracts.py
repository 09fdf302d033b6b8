"""Heartbeats and groups keep what every check promises that looks at nothing by itself."""

from datetime import timedelta

import pytest

from laya_uptime.adapters.checks.group import GroupCheck
from laya_uptime.adapters.checks.heartbeat import HeartbeatCheck
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Check, Reach
from laya_uptime.testing import FakeClock, NoNetwork
from laya_uptime.testing.check_contract import UnprobedCheckContract


class TestHeartbeat(UnprobedCheckContract):
    def confidential(self, secret: str) -> Check:
        return HeartbeatCheck(heartbeat=timedelta(days=1), token=Secret(f"{secret}-and-more"))

    @pytest.fixture
    def via(self) -> Reach:
        return NoNetwork(FakeClock())


class TestGroup(UnprobedCheckContract):
    def confidential(self, secret: str) -> Check:
        del secret  # it has no place for one
        return GroupCheck(members=["shop"])

    @pytest.fixture
    def via(self) -> Reach:
        return NoNetwork(FakeClock())

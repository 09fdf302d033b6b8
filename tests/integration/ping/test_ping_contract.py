"""The ping keeps what every check promises. Its socket is opened in the laboratory and used here."""

import socket
from typing import Literal

import pytest

from laya_uptime.adapters.checks.ping import PingCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.ports import Check, Reach, Trail
from laya_uptime.testing.check_contract import LocalCheckContract
from laya_uptime.testing.laboratory import Laboratory


class Remote(GuardedDialer):
    """The product's dialer, opening its sockets in the laboratory."""

    def __init__(self, laboratory: Laboratory) -> None:
        super().__init__(clock=SystemClock(), policy=EgressPolicy())
        self._laboratory = laboratory

    async def echo(
        self, host: str, *, version: Literal[4, 6] | None = None, trail: Trail | None = None
    ) -> socket.socket:
        opening = super().echo
        return self._laboratory.run(lambda: opening(host, version=version, trail=trail))


class TestPingContract(LocalCheckContract):
    @pytest.fixture
    def via(self, laboratory: Laboratory) -> Reach:
        return Remote(laboratory)

    @pytest.fixture
    def hanging(self) -> Check:
        return PingCheck(url="ping://198.51.100.7")

    def confidential(self, secret: str) -> Check:
        assert secret  # a ping has no place for one
        return PingCheck(url="ping://gate.example")

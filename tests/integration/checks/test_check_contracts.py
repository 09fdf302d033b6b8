"""The checks of plain TCP and of TLS keep what every check promises."""

import ssl
from pathlib import Path
from typing import Protocol

import pytest

from laya_uptime.adapters.checks.tcp import DialogueStep, TcpCheck
from laya_uptime.adapters.checks.tls import TlsCheck
from laya_uptime.domain.payload import of_pieces
from laya_uptime.ports import Check
from laya_uptime.testing.check_contract import CheckContract


class Authority(Protocol):
    ca_file: Path

    def context(self, *names: str) -> ssl.SSLContext: ...


class TestTcpThatListens(CheckContract):
    def check(self, host: str, port: int, *, secret: str = "") -> Check:
        return TcpCheck(url=f"tcp://{host}:{port}", dialogue=(DialogueStep(expect="^220 "),))


class TestTcpThatSpeaks(CheckContract):
    def check(self, host: str, port: int, *, secret: str = "") -> Check:
        auth = of_pieces([("AUTH ", False), (secret, bool(secret)), (r"\r\n", False)])
        return TcpCheck(host=host, port=port, dialogue=(DialogueStep(send=auth), DialogueStep(expect=r"^\+OK")))


class TestTcpInsideTls(CheckContract):
    silent_phase = "tls"

    def check(self, host: str, port: int, *, secret: str = "") -> Check:
        return TcpCheck(url=f"tcp://{host}:{port}", tls=True)


class TestTls(CheckContract):
    silent_phase = "tls"

    @pytest.fixture(autouse=True)
    def _trusts(self, authority: Authority) -> None:
        self.ca_file = str(authority.ca_file)

    def check(self, host: str, port: int, *, secret: str = "") -> Check:
        return TlsCheck(url=f"tls://{host}:{port}", ca_file=self.ca_file)


class TestTlsAfterStarttls(CheckContract):
    def check(self, host: str, port: int, *, secret: str = "") -> Check:
        return TlsCheck(url=f"tls://{host}:{port}", starttls="smtp")

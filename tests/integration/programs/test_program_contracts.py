"""Checks that run programs keep what every check promises."""

from pathlib import Path

import pytest

from laya_uptime.adapters.checks.exec import ExecCheck
from laya_uptime.adapters.checks.python import PythonCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Check, Reach
from laya_uptime.testing.check_contract import LocalCheckContract
from laya_uptime.testing.scripted import NoNetwork


@pytest.fixture
def via() -> Reach:
    return NoNetwork(SystemClock())


class TestExecContract(LocalCheckContract):
    @pytest.fixture
    def hanging(self) -> Check:
        return ExecCheck(command=["sleep", "600"])

    def confidential(self, secret: str) -> Check:
        return ExecCheck(command=["check_thing"], environment={"TOKEN": Secret(secret)})


class TestPythonContract(LocalCheckContract):
    @pytest.fixture
    def hanging(self, tmp_path: Path) -> Check:
        (tmp_path / "checks.py").write_text("import time\n\ndef check():\n    time.sleep(600)\n")
        return PythonCheck(call=f"{tmp_path}/checks.py:check")

    def confidential(self, secret: str) -> Check:
        return PythonCheck(
            call="checks.py:check", arguments={"token": Secret(secret)}, environment={"TOKEN": Secret(secret)}
        )

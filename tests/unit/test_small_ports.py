"""The clocks, listeners and watchdogs, each held to the promises of its port."""

import logging

import pytest

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.console import Console
from laya_uptime.adapters.systemd import SystemdWatchdog
from laya_uptime.ports import Clock
from laya_uptime.testing import FakeClock, RecordingListener, RecordingWatchdog
from laya_uptime.testing.clock_contract import ClockContract
from laya_uptime.testing.listener_contract import ListenerContract, WatchdogContract


class TestSystemClock(ClockContract):
    @pytest.fixture
    def clock(self) -> SystemClock:
        return SystemClock()


class TestFakeClock(ClockContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    async def pass_time(self, clock: Clock, seconds: float) -> None:
        assert isinstance(clock, FakeClock)
        await clock.advance(seconds)


class TestConsole(ListenerContract):
    @pytest.fixture
    def listener(self, caplog: pytest.LogCaptureFixture) -> Console:
        caplog.set_level(logging.INFO, "laya_uptime")
        return Console()


class TestRecordingListener(ListenerContract):
    @pytest.fixture
    def listener(self) -> RecordingListener:
        return RecordingListener()


class TestSystemdWatchdogWithoutSystemd(WatchdogContract):
    @pytest.fixture
    def watchdog(self) -> SystemdWatchdog:
        return SystemdWatchdog({})


class TestSystemdWatchdogWithNobodyThere(WatchdogContract):
    @pytest.fixture
    def watchdog(self) -> SystemdWatchdog:
        return SystemdWatchdog({"NOTIFY_SOCKET": "/nowhere/notify"})


class TestRecordingWatchdog(WatchdogContract):
    @pytest.fixture
    def watchdog(self) -> RecordingWatchdog:
        return RecordingWatchdog()

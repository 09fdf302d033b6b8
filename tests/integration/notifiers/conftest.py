"""What the tests of all notifiers share: the real dialer on the real clock."""

import pytest

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.ports import Reach


@pytest.fixture
def via() -> Reach:
    return GuardedDialer(clock=SystemClock(), policy=EgressPolicy())

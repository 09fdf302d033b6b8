"""How to look once and keep what went over the wire."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.confidential import confidential_of
from laya_uptime.adapters.net.resolver import Resolver
from laya_uptime.adapters.net.trace import Trace
from laya_uptime.adapters.net.tracing import TracingDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.result import Seen
from laya_uptime.domain.trace import TraceLine
from laya_uptime.ports import Check

Traced = Callable[..., Awaitable[tuple[Seen, list[TraceLine]]]]


@pytest.fixture
def traced() -> Traced:
    async def look(
        check: Check,
        *,
        timeout: timedelta = timedelta(seconds=10),  # noqa: ASYNC109  the check's own
        resolver: Resolver | None = None,
    ) -> tuple[Seen, list[TraceLine]]:
        clock = SystemClock()
        trace = Trace(clock, confidential_of(check))
        via = TracingDialer(clock=clock, policy=EgressPolicy(), trace=trace, resolver=resolver)
        return await check.probe(via, timeout=timeout), trace.lines

    return look

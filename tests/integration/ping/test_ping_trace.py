"""What a trace shows of a ping: every echo and every answer."""

from datetime import timedelta

from laya_uptime.adapters.checks.ping import PingCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.confidential import confidential_of
from laya_uptime.adapters.net.trace import Trace
from laya_uptime.adapters.net.tracing import TracingDialer
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.trace import Kind, TraceLine
from laya_uptime.testing.laboratory import Laboratory


async def look() -> list[TraceLine]:
    check = PingCheck(url="ping://127.0.0.1", count=2, gap=timedelta(milliseconds=20))
    clock = SystemClock()
    trace = Trace(clock, confidential_of(check))
    await check.probe(TracingDialer(clock=clock, policy=EgressPolicy(), trace=trace), timeout=timedelta(seconds=10))
    return trace.lines


def test_each_echo_and_each_answer_is_shown(laboratory: Laboratory) -> None:
    lines = laboratory.run(look)

    assert [line.text for line in lines if line.kind is Kind.SENT] == ["echo 1, 64 bytes", "echo 2, 64 bytes"]
    assert [line.text for line in lines if line.kind is Kind.RECEIVED] == [
        "answer to echo 1 from 127.0.0.1, 64 bytes",
        "answer to echo 2 from 127.0.0.1, 64 bytes",
    ]

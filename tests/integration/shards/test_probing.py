"""Probing keeps the same promises in this process and in others."""

from collections.abc import Sequence

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.adapters.shards.process import ProcessProbing
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.domain.secret import Secret
from laya_uptime.engine.probing import LocalProbing
from laya_uptime.engine.sharding import Shards
from laya_uptime.ports import Check, Overseer, Probing, Watched
from laya_uptime.testing.probing_contract import ProbingContract


def a_process(watched: Sequence[Watched], overseer: Overseer) -> ProcessProbing:
    clock = SystemClock()
    return ProcessProbing(watched, overseer, policy=EgressPolicy(), clock=clock, anchor=clock.monotonic())


class OverHttp(ProbingContract):
    def check(self, url: str) -> Check:
        return HttpCheck(url=Secret(url))


class TestLocalProbing(OverHttp):
    def make(self, watched: Sequence[Watched], overseer: Overseer) -> Probing:
        clock = SystemClock()
        via = GuardedDialer(clock=clock, policy=EgressPolicy())
        return LocalProbing(watched, overseer, via=via, clock=clock)


class TestProcessProbing(OverHttp):
    def make(self, watched: Sequence[Watched], overseer: Overseer) -> Probing:
        return a_process(watched, overseer)


class TestShards(OverHttp):
    def make(self, watched: Sequence[Watched], overseer: Overseer) -> Probing:
        return Shards(watched, overseer, parts=2, make=lambda share: a_process(share, overseer), clock=SystemClock())

"""Random histories of one monitor against a plain model of the truth: invariants I1 to I4, in virtual time.

The pipeline and the ledger are the real ones. The truth is kept beside them in the simplest way there is: failures in
a row, passes in a row, and the stretches in which nobody looked. LAYA_UPTIME_HISTORIES sets how many are tried.
"""

import os
from collections import defaultdict
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from laya_uptime.adapters.stores.memory import MemoryStore
from laya_uptime.domain.alert import Alert, Transition
from laya_uptime.domain.change import Attempt, Span
from laya_uptime.domain.delivery import next_try
from laya_uptime.domain.incident import Incident
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.status import Status
from laya_uptime.engine.pipeline import Pipeline
from laya_uptime.ports import Claimed, Write
from laya_uptime.testing import NOON, RecordingListener, a_monitor, a_result

HISTORIES = int(os.environ.get("LAYA_UPTIME_HISTORIES", "10000"))
STEPS = 10  # of several rounds each
EVERY = timedelta(seconds=60)
BLIND_AFTER = 3 * EVERY
LEASE = timedelta(seconds=90)
CHANNELS = ("chat", "mail")
T = TypeVar("T")

_SCRIPTS = st.sampled_from(["".join(signs) for length in (1, 2, 3, 4) for signs in product(".xd?", repeat=length)])
_WAITS = st.sampled_from([0.2, 1.0, 2.9, 3.1, 10.0, 60.0])  # intervals
_GAPS = st.sampled_from([0.05, 0.95, 1.05, 5.0, 100.0])  # intervals without a process


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what the coroutine returns. The store in memory never waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")


class Outage:
    """One true outage. `over` None: not yet."""

    def __init__(self, began: datetime) -> None:
        self.began = began
        self.over: datetime | None = None
        self.closed_from_outside = False
        self.heard = set[str]()  # the channels that were configured throughout


class Truth:
    """What really is so, as far as anybody could see."""

    def __init__(self, confirm: int, recover: int) -> None:
        self.confirm = confirm
        self.recover = recover
        self.outages: list[Outage] = []
        self.dark: list[tuple[datetime, datetime]] = []  # when nobody looked, from the last look to the next
        self.dark_since: datetime | None = None
        self.streak: list[datetime] = []  # of failures, or within an outage of passes

    @property
    def outage(self) -> Outage | None:
        return self.outages[-1] if self.outages and self.outages[-1].over is None else None

    def see(self, failing: bool, at: datetime) -> None:
        if self.dark_since is not None:
            self.dark.append((self.dark_since, at))
            self.dark_since = None
        is_news = failing if self.outage is None else not failing
        self.streak = [*self.streak, at] if is_news else []
        if self.outage is None and len(self.streak) == self.confirm:
            self.outages.append(Outage(self.streak[0]))
            self.streak = []
        elif self.outage is not None and len(self.streak) == self.recover:
            self.outage.over = self.streak[0]
            self.streak = []

    def lose_sight(self, since: datetime) -> None:
        self.streak = []
        self.dark_since = since if self.dark_since is None else min(self.dark_since, since)

    def end_from_outside(self, at: datetime) -> None:
        if self.outage is not None:
            self.outage.closed_from_outside = True
            self.outage.over = at
        self.streak = []

    def unseen(self, since: datetime, until: datetime) -> timedelta:
        """Return how much of this stretch nobody saw."""
        pieces = [*self.dark, (self.dark_since, until)] if self.dark_since is not None else self.dark
        return sum((max(min(end, until) - max(begin, since), timedelta(0)) for begin, end in pieces), timedelta(0))


class Histories(RuleBasedStateMachine):
    """Rounds, waits, channels that fail, kills and restarts, and changes of the configuration."""

    patience: ClassVar[tuple[int, int]] = (1, 1)

    @initialize()
    def begin(self) -> None:
        confirm, recover = self.patience
        self.truth = Truth(confirm, recover)
        self.store = MemoryStore()
        self.target = 0
        self.watches = True
        self.channels: tuple[str, ...] = CHANNELS
        self.failing: set[str] = set()
        self.received: dict[str, list[Alert]] = defaultdict(list)
        self.unstamped: set[str] = set()  # sent by a process that died before it could say so
        self.now, self.elapsed = NOON, timedelta(0)
        self.last_commit = self.last_look = NOON
        self.last_look_elapsed = timedelta(0)
        self.start()

    # What the process does.

    @property
    def monitor(self) -> Monitor:
        confirm, recover = self.patience
        target = f"https://shop.example/{self.target}"
        return a_monitor(target=target, every=EVERY, confirm=confirm, recover=recover)

    def start(self) -> None:
        monitors = [self.monitor] if self.watches else []
        self.waiting: list[Write] = []
        self.pipeline = Pipeline(
            monitors,
            self.channels,
            submit=self.waiting.append,
            listener=RecordingListener(),
            local=lambda at: at.astimezone(UTC),
        )
        memory = at_once(self.store.open(monitors, self.channels, at=self.now))
        self.seq = memory.seq
        self.pipeline.restore(memory, at=self.now, elapsed=self.elapsed)
        self.commit()
        self.last_look, self.last_look_elapsed = self.now, self.elapsed

    def commit(self) -> None:
        self.seq += 1
        at_once(self.store.commit(tuple(self.waiting), seq=self.seq, at=self.now))
        self.waiting.clear()
        self.last_commit = self.now

    def absorb(self, sign: str) -> None:
        self.pipeline.absorb(self.monitor, [a_result(sign, self.monitor, at=self.now)], elapsed=self.elapsed)

    def pass_time(self, intervals: float) -> None:
        self.now += intervals * EVERY
        self.elapsed += intervals * EVERY

    def claim(self) -> list[Claimed]:
        room = dict.fromkeys(self.channels, 4)
        return list(at_once(self.store.claim(room, owner="it", at=self.now, lease=LEASE)))

    def deliver(self) -> None:
        """Deliver all that can be claimed now, and stamp it."""
        while claimed := self.claim():
            for each in claimed:
                self.waiting.append(self.attempt(each))
            self.commit()

    def attempt(self, claimed: Claimed) -> Attempt:
        alert, attempts = claimed.alert, claimed.attempts + 1
        if alert.channel_id not in self.failing:
            self.received[alert.channel_id].append(alert)
            return Attempt(alert_id=alert.id, attempts=attempts, sent_at=self.now)
        again = next_try(
            attempts=attempts, at=self.now, expires_at=claimed.expires_at, chance=0.5, asked=timedelta(minutes=10)
        )
        assert again is not None  # histories are shorter than a day of patience
        return Attempt(alert_id=alert.id, attempts=attempts, next_try_at=again, cause="away")

    def restart(self, gap: float) -> None:
        """End without another word, be away, and start again."""
        left_at = self.last_commit
        self.pass_time(gap)
        if self.now - left_at > EVERY or not self.watches:
            self.truth.lose_sight(left_at)
        self.start()

    # What happens.

    @precondition(lambda self: self.watches)
    @rule(script=_SCRIPTS)
    def rounds(self, script: str) -> None:
        for sign in script:
            self.absorb(sign)
            self.commit()
            if sign != "?":
                self.truth.see(sign == "x", self.now)
                self.last_look, self.last_look_elapsed = self.now, self.elapsed
            self.note_who_hears()
            self.deliver()
            self.pass_time(1)
            self.look_out()

    @rule(intervals=_WAITS)
    def wait(self, intervals: float) -> None:
        self.pass_time(intervals)
        self.look_out()
        self.commit()  # a heartbeat
        self.deliver()

    def look_out(self) -> None:
        self.pipeline.watch_for_blindness(at=self.now, elapsed=self.elapsed)
        self.commit()
        if self.watches and self.elapsed - self.last_look_elapsed > BLIND_AFTER:
            self.truth.lose_sight(self.last_look)

    @rule(channel=st.sampled_from(CHANNELS))
    def channel_fails(self, channel: str) -> None:
        self.failing.add(channel)

    @precondition(lambda self: self.failing)
    @rule()
    def channels_heal(self) -> None:
        self.failing.clear()
        self.deliver()

    @rule(gap=_GAPS)
    def stop_and_start(self, gap: float) -> None:
        self.commit()
        self.restart(gap)

    @precondition(lambda self: self.watches)
    @rule(sign=st.sampled_from(".xd"), gap=_GAPS)
    def die_before_the_commit(self, sign: str, gap: float) -> None:
        """Nobody will ever know of this round, so it is no part of the truth."""
        self.absorb(sign)
        self.restart(gap)

    @rule(gap=_GAPS)
    def die_between_sending_and_stamping(self, gap: float) -> None:
        for claimed in self.claim():
            if self.attempt(claimed).sent_at is not None:
                self.unstamped.add(claimed.alert.id)
        self.restart(gap)

    @precondition(lambda self: self.watches)
    @rule(gap=_GAPS)
    def watch_another_target(self, gap: float) -> None:
        self.commit()
        self.target += 1
        self.truth.lose_sight(self.now)
        self.restart(gap)
        self.truth.end_from_outside(self.now)
        self.note_who_hears()

    @rule(gap=_GAPS)
    def take_the_monitor_out_or_back_in(self, gap: float) -> None:
        self.commit()
        self.watches = not self.watches
        self.restart(gap)
        if not self.watches:
            self.truth.end_from_outside(self.now)
            self.note_who_hears()

    @precondition(lambda self: len(self.channels) > 1)
    @rule(gap=_GAPS, channel=st.sampled_from(CHANNELS))
    def remove_a_channel(self, gap: float, channel: str) -> None:
        self.commit()
        self.channels = tuple(each for each in self.channels if each != channel)
        for outage in self.truth.outages:
            outage.heard.discard(channel)
        self.restart(gap)

    def note_who_hears(self) -> None:
        outages = self.truth.outages
        if outages and outages[-1].over is None and not outages[-1].heard:
            outages[-1].heard = set(self.channels)

    # What must hold at any time.

    @property
    def incidents(self) -> list[Incident]:
        """Return the outages that were recorded, oldest first."""
        found = [each for each in self.store.incidents.values() if each.down_at is not None]
        return sorted(found, key=lambda each: each.opened_at)

    @property
    def spans(self) -> list[Span]:
        return self.store.spans.get("shop", [])

    @invariant()
    def at_most_one_incident_is_open(self) -> None:
        still_open = [each for each in self.store.incidents.values() if each.resolved_at is None]
        assert len(still_open) <= 1
        if self.watches:
            assert still_open == [each for each in [self.pipeline.states["shop"].incident] if each is not None]

    @invariant()
    def every_recorded_outage_is_a_true_one_i3(self) -> None:
        recorded = [(each.down_at, each.resolved_at) for each in self.incidents]
        assert recorded == [(outage.began, outage.over) for outage in self.truth.outages]
        for each, outage in zip(self.incidents, self.truth.outages, strict=True):
            until = each.resolved_at or self.last_look
            if each.resolved_at is not None:
                assert each.unseen == self.truth.unseen(outage.began, until)

    @invariant()
    def the_believed_status_is_the_true_one(self) -> None:
        if not self.watches:
            return
        health = self.pipeline.states["shop"].health
        assert (health.status in {Status.DOWN, Status.RECOVERING}) == (self.truth.outage is not None)
        if self.truth.dark_since is not None:
            assert health.believed in {Status.UNKNOWN, Status.PENDING}

    @invariant()
    def spans_are_contiguous_and_the_last_one_is_open_i4(self) -> None:
        for before, after in pairwise(self.spans):
            assert before.ended == after.started
            assert before.started < before.ended
        assert [span for span in self.spans if span.ended is None] == self.spans[-1:]
        if self.spans and self.watches:
            assert self.spans[-1].outcome is self.pipeline.states["shop"].health.believed

    @invariant()
    def time_when_nobody_looked_is_unknown_i4(self) -> None:
        for span in self.spans:
            if span.outcome is not Status.UNKNOWN:
                assert self.truth.unseen(span.started, span.ended or self.now) == timedelta(0)

    @invariant()
    def time_of_an_outage_is_down_or_unknown_i4(self) -> None:
        for outage in self.truth.outages:
            over = outage.over or self.now
            for span in self.spans:
                if span.outcome in {Status.UP, Status.DEGRADED}:
                    assert span.started >= over or (span.ended or self.now) <= outage.began

    @invariant()
    def decisions_are_recorded_once_and_their_keys_pair(self) -> None:
        rows = list(self.store.outbox.values())
        decisions = {
            (row.alert.incident_id, row.alert.transition, row.alert.ordinal, row.alert.channel_id) for row in rows
        }
        assert len(decisions) == len(rows)
        for row in rows:
            assert row.alert.dedup_key == f"{row.alert.incident_id}/{row.alert.channel_id}"

    @invariant()
    def a_duplicate_is_only_what_was_sent_and_not_stamped_i2(self) -> None:
        for alerts in self.received.values():
            ids = [alert.id for alert in alerts]
            assert {each for each in ids if ids.count(each) > 1} <= self.unstamped

    def teardown(self) -> None:
        """Let every channel heal, and see that each outage was told: down once, recovered once, in this order (I1)."""
        if not hasattr(self, "store"):
            return
        self.failing.clear()
        for _ in range(8):
            self.pass_time(20)
            self.deliver()
        for channel in self.channels:
            told: dict[str, list[Transition]] = defaultdict(list)
            for alert in {alert.id: alert for alert in self.received[channel]}.values():
                if alert.transition in {Transition.DOWN, Transition.RECOVERED}:
                    told[alert.incident_id].append(alert.transition)
            for incident, outage in zip(self.incidents, self.truth.outages, strict=True):
                if channel in outage.heard:
                    whole = [Transition.DOWN] if outage.over is None else [Transition.DOWN, Transition.RECOVERED]
                    assert told[incident.id] == whole
            known = {incident.id for incident in self.store.incidents.values()}
            assert set(told) <= known


@pytest.mark.timeout(600)
@pytest.mark.parametrize("patience", [(1, 1), (2, 2), (3, 1), (1, 3)], ids=str)
def test_every_history_keeps_the_invariants_n04(patience: tuple[int, int]) -> None:
    class Some(Histories):
        pass

    Some.patience = patience

    run_state_machine_as_test(
        Some,
        settings=settings(
            max_examples=HISTORIES // 4,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )

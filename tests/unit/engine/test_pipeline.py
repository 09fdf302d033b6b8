"""The pipeline on a ledger in memory: what one round, a gap or a restart implies, as it is stored."""

from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from laya_uptime.adapters.stores.memory import MemoryStore
from laya_uptime.domain.alert import Transition
from laya_uptime.domain.change import Change
from laya_uptime.domain.incident import Closing, Incident
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.result import Answer, Body, Evidence, Result
from laya_uptime.domain.status import Status
from laya_uptime.engine.pipeline import Pipeline
from laya_uptime.ports import Write
from laya_uptime.testing import NOON, RecordingListener, a_monitor, a_probe, a_result

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
T = TypeVar("T")


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what the coroutine returns. The store in memory never waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")


class World:
    """One process after another on the same ledger, each committing at once. Noon is when the first one starts."""

    def __init__(self, *monitors: Monitor, channels: tuple[str, ...] = ("chat",)) -> None:
        self.store = MemoryStore()
        self.monitors = monitors or (a_monitor(confirm=1, recover=1),)
        self.channels = channels
        self.now = NOON
        self.elapsed = timedelta(0)
        self.changes: list[Change] = []
        self.start()

    @property
    def monitor(self) -> Monitor:
        return self.monitors[0]

    def start(self) -> None:
        self.listener = RecordingListener()
        self._waiting: list[Write] = []
        self.pipeline = Pipeline(
            self.monitors,
            self.channels,
            submit=self._waiting.append,
            listener=self.listener,
            local=lambda at: at.astimezone(UTC),
        )
        memory = at_once(self.store.open(self.monitors, self.channels, at=self.now))
        self._seq = memory.seq
        self.pipeline.restore(memory, at=self.now, elapsed=self.elapsed)
        self.commit()

    def commit(self) -> None:
        """Write what waits. Without anything it is a heartbeat."""
        self.changes += [write for write in self._waiting if isinstance(write, Change)]
        self._seq += 1
        at_once(self.store.commit(list(self._waiting), seq=self._seq, at=self.now))
        self._waiting.clear()

    def see(self, signs: str, monitor: Monitor | None = None) -> None:
        """See these one after the other, an interval apart."""
        monitor = monitor or self.monitor
        for sign in signs:
            self.pipeline.absorb(monitor, [a_result(sign, monitor, at=self.now)], elapsed=self.elapsed)
            self.commit()
            self.wait(monitor.every)

    def wait(self, time: timedelta) -> None:
        self.now += time
        self.elapsed += time

    def look_out(self) -> None:
        self.pipeline.watch_for_blindness(at=self.now, elapsed=self.elapsed)
        self.commit()

    def restart(self, *, after: timedelta, monitors: tuple[Monitor, ...] | None = None) -> None:
        """Beat for the last time, be away that long, and start again, perhaps with another configuration."""
        self.commit()
        self.wait(after)
        self.monitors = self.monitors if monitors is None else monitors
        self.start()

    @property
    def told(self) -> list[Transition]:
        return [row.alert.transition for row in self.store.outbox.values() if row.alert.channel_id == "chat"]

    @property
    def incidents(self) -> list[Incident]:
        return list(self.store.incidents.values())

    def spans(self, monitor_id: str = "shop") -> str:
        """Return the stored beliefs with their lengths in minutes, the open one without: "up 3, unknown 5, down"."""
        told = []
        for span in self.store.spans.get(monitor_id, []):
            length = "" if span.ended is None else f" {(span.ended - span.started) / MINUTE:g}"
            told.append(f"{span.outcome}{length}")
        return ", ".join(told)


def test_an_outage_sends_one_down_and_one_recovered() -> None:
    world = World()

    world.see("..xxx..")

    assert world.told == [Transition.DOWN, Transition.RECOVERED]
    assert world.spans() == "up 2, down 3, up"


def test_every_channel_hears_of_it() -> None:
    world = World(channels=("chat", "mail"))

    world.see("x.")

    heard = sorted((row.alert.channel_id, row.alert.transition) for row in world.store.outbox.values())
    assert heard == [("chat", "down"), ("chat", "recovered"), ("mail", "down"), ("mail", "recovered")]


def test_an_alert_is_written_in_the_same_change_as_its_incident_and_its_status() -> None:
    world = World()

    world.see(".x")

    [change] = [change for change in world.changes if change.alerts]
    assert change.health is not None
    assert change.health.believed is Status.DOWN
    assert [incident.id for incident in change.incidents] == [change.alerts[0].alert.incident_id]
    assert change.span is not None
    assert change.span.incident_id == change.incidents[0].id
    assert len(change.results) == 1


def test_reminders_come_at_every_fifth_failure_in_a_row() -> None:
    world = World()

    world.see("x" * 12)

    assert world.told == [Transition.DOWN, Transition.REMINDER, Transition.REMINDER]
    [incident] = world.incidents
    assert (incident.failures, incident.reminders) == (12, 2)


@pytest.mark.parametrize("sign", ["?", "???????"])
def test_unknown_verdicts_change_nothing_but_are_kept(sign: str) -> None:
    world = World()
    world.see("..x")
    health = world.pipeline.states["shop"].health
    changes = len(world.changes)

    world.see(sign)

    assert world.pipeline.states["shop"].health == health
    assert all(not change.is_news and change.health is None for change in world.changes[changes:])
    assert len(world.store.results) == 3 + len(sign)


def test_a_monitor_that_nobody_has_seen_for_three_intervals_is_unknown() -> None:
    world = World()
    world.see("...")  # the last one at two minutes past

    world.wait(2 * MINUTE)
    world.look_out()
    assert world.spans() == "up"
    world.wait(MINUTE)
    world.look_out()

    assert world.spans() == "up 2, unknown"


def test_a_night_of_suspend_is_unknown_even_where_the_first_check_comes_before_the_look_out_t02() -> None:
    world = World()
    world.see("...")  # the last one at two minutes past
    world.wait(8 * HOUR)

    world.see("..")

    assert world.spans() == "up 2, unknown 481, up"


def test_unknown_rounds_do_not_count_as_having_seen_it() -> None:
    world = World()

    world.see("..???")
    world.look_out()

    assert world.spans() == "up 1, unknown"


def test_a_check_that_runs_longer_than_three_intervals_is_still_a_look() -> None:
    world = World(a_monitor(every="1s", timeout="10s", confirm=1, recover=1))
    world.see(".")

    for _ in range(5):  # a target that hangs: each probe takes the whole timeout
        began = world.now
        for _ in range(10):
            world.wait(SECOND)
            world.look_out()
        world.pipeline.absorb(world.monitor, [a_result("h", world.monitor, at=began)], elapsed=world.elapsed)
        world.commit()
        world.wait(SECOND)

    assert [span.outcome for span in world.store.spans["shop"]][-1] is Status.DOWN
    assert Status.UNKNOWN not in [span.outcome for span in world.store.spans["shop"]]
    assert world.incidents[0].unseen == timedelta(0)


def test_a_restart_remembers_that_sight_was_lost() -> None:
    world = World(a_monitor(confirm=1, recover=2))
    world.see(".x????")
    world.look_out()

    world.restart(after=10 * SECOND)

    assert world.pipeline.states["shop"].health.believed is Status.UNKNOWN
    world.see("x")
    assert world.spans() == "up 1, unknown 5.16667, down"


def test_an_own_downtime_longer_than_the_interval_is_unknown() -> None:
    world = World()
    world.see("...")

    world.restart(after=5 * HOUR)
    world.see(".")

    assert world.spans() == "up 3, unknown 300, up"


def test_an_own_downtime_shorter_than_the_interval_is_not() -> None:
    world = World()
    world.see("...")

    world.restart(after=59 * SECOND)
    world.see(".")

    assert world.spans() == "up"


def test_a_restart_in_an_outage_that_goes_on_sends_no_second_down() -> None:
    world = World()
    world.see(".xx")

    world.restart(after=30 * MINUTE)
    world.see("xxx.")

    assert world.told == [Transition.DOWN, Transition.REMINDER, Transition.RECOVERED]
    [incident] = world.incidents
    assert incident.failures == 5
    assert incident.downtime == 35 * MINUTE
    assert incident.unseen == 30 * MINUTE
    assert world.spans() == "up 1, down 2, unknown 30, down 3, up"
    assert [each.id for each in world.listener.resumptions] == [incident.id]


@pytest.mark.parametrize("recover", [1, 2, 3])
def test_a_service_that_recovered_while_nobody_looked_is_recovered(recover: int) -> None:
    world = World(a_monitor(confirm=1, recover=recover))
    world.see(".xx")

    world.restart(after=30 * MINUTE)
    world.see("..." + ".")

    assert world.told == [Transition.DOWN, Transition.RECOVERED]
    [incident] = world.incidents
    assert incident.downtime == 32 * MINUTE
    assert incident.unseen == 30 * MINUTE
    assert world.spans() == "up 1, down 2, unknown 30, up"


def test_the_time_when_nobody_looked_is_told_with_the_recovery() -> None:
    world = World(a_monitor(confirm=1, recover=2))
    world.see(".x")
    world.restart(after=30 * MINUTE)

    world.see("..")

    [recovered] = [row.alert for row in world.store.outbox.values() if row.alert.transition is Transition.RECOVERED]
    assert recovered.facts.unseen == 30 * MINUTE
    assert recovered.facts.downtime == 31 * MINUTE


def test_a_restart_between_two_passes_counts_the_gap_once() -> None:
    world = World(a_monitor(confirm=1, recover=2))
    world.see(".x")
    world.restart(after=30 * MINUTE)
    world.see(".")

    world.restart(after=10 * SECOND)
    world.see(".")

    [incident] = world.incidents
    assert incident.closed_by is Closing.RECOVERED
    assert incident.unseen == 30 * MINUTE


def test_a_failure_before_a_gap_and_one_after_it_are_no_outage_of_the_gap() -> None:
    world = World(a_monitor(confirm=2, recover=1))
    world.see(".x")

    world.restart(after=5 * HOUR)
    world.see("xx")

    [incident] = world.incidents
    assert incident.down_at == NOON + 5 * HOUR + 2 * MINUTE
    assert world.spans() == "up 2, unknown 300, down"


def test_a_gap_within_a_gap_is_unknown_too() -> None:
    world = World(a_monitor(confirm=2, recover=1))
    world.see(".")
    world.restart(after=HOUR)
    world.see("x")

    world.wait(3 * MINUTE)
    world.look_out()
    world.see("xx")

    [incident] = world.incidents
    assert incident.down_at == NOON + HOUR + 5 * MINUTE
    assert world.pipeline.states["shop"].health.believed_since == incident.down_at


def test_an_incident_of_another_target_is_closed_for_that_reason() -> None:
    world = World()
    world.see(".x")
    moved = a_monitor(target="https://new.example/health", confirm=1, recover=1)

    world.restart(after=10 * MINUTE, monitors=(moved,))
    world.see(".x")

    first, second = world.incidents
    assert first.closed_by is Closing.TARGET_CHANGED
    assert second.id != first.id
    assert world.told == [Transition.DOWN, Transition.RECOVERED, Transition.DOWN]
    assert world.spans() == "up 1, down 1, unknown 10, up 1, down"


def test_an_incident_of_a_monitor_that_is_gone_is_closed_for_that_reason() -> None:
    world = World(a_monitor("shop", confirm=1), a_monitor("desk", confirm=1))
    world.see("x")

    world.restart(after=10 * SECOND, monitors=world.monitors[1:])
    world.restart(after=10 * SECOND)

    [incident] = world.incidents
    assert incident.closed_by is Closing.MONITOR_REMOVED
    assert world.told == [Transition.DOWN, Transition.RECOVERED]
    assert world.spans().endswith("unknown")


def test_a_monitor_that_comes_back_while_its_service_is_down_is_news_again() -> None:
    shop, desk = a_monitor("shop", confirm=1, recover=1), a_monitor("desk", confirm=1)
    world = World(shop, desk)
    world.see(".x")
    world.restart(after=10 * SECOND, monitors=(desk,))
    world.wait(HOUR)

    world.restart(after=10 * SECOND, monitors=(shop, desk))
    world.see("x.")

    assert world.told == [Transition.DOWN, Transition.RECOVERED, Transition.DOWN, Transition.RECOVERED]
    first, second = world.incidents
    assert second.opened_at > first.opened_at + HOUR
    assert [span.outcome for span in world.store.spans["shop"]] == [
        Status.UP,
        Status.DOWN,
        Status.UNKNOWN,
        Status.DOWN,
        Status.UP,
    ]


def test_time_in_which_a_monitor_was_not_configured_is_unknown() -> None:
    shop, desk = a_monitor("shop"), a_monitor("desk")
    world = World(shop, desk)
    world.see("..")
    world.restart(after=10 * SECOND, monitors=(desk,))
    world.wait(HOUR)

    world.restart(after=10 * SECOND, monitors=(shop, desk))
    world.see(".")

    outcomes = [span.outcome for span in world.store.spans["shop"]]
    assert outcomes == [Status.UP, Status.UNKNOWN, Status.UP]


def test_a_target_that_changed_before_anything_was_known_is_not_a_change_later() -> None:
    world = World()  # registered, and stopped before its first round
    moved = a_monitor(target="https://new.example/health", confirm=1, recover=1)
    world.restart(after=SECOND, monitors=(moved,))
    world.see("x")

    world.restart(after=SECOND)

    assert world.told == [Transition.DOWN]
    assert world.incidents[0].resolved_at is None


@pytest.mark.parametrize("jump", [-HOUR, datetime(1970, 1, 1, tzinfo=UTC) - NOON], ids=["an hour", "to 1970"])
def test_outages_while_the_wall_clock_is_behind_are_told_one_by_one(jump: timedelta) -> None:
    world = World()
    world.see("..")

    world.now += jump
    world.see("x.x.xx.")

    assert world.told == [Transition.DOWN, Transition.RECOVERED] * 3
    assert len({incident.id for incident in world.incidents}) == 3
    assert all(incident.downtime is not None and incident.downtime >= timedelta(0) for incident in world.incidents)
    starts = [span.started for span in world.store.spans["shop"]]
    assert starts == sorted(set(starts))


def test_a_wall_clock_that_was_wrong_for_a_while_makes_no_outage_of_years() -> None:
    world = World()
    wrong = datetime(1970, 1, 1, tzinfo=UTC) - NOON
    world.see("..")

    world.now += wrong
    world.see("x")
    world.now -= wrong
    world.see(".")

    assert world.incidents[0].downtime is not None
    assert timedelta(0) < world.incidents[0].downtime <= 3 * MINUTE


def test_the_status_is_written_only_when_it_changes_and_numbered_without_a_gap() -> None:
    world = World()

    world.see("....xx..?.d")

    written = [change.seq for change in world.changes if change.seq is not None]
    assert written == list(range(len(written)))
    assert len(written) == 5  # up, down, down again, up, degraded


def test_a_large_body_does_not_wait_for_its_commit() -> None:
    world = World()
    body = Body(text="x" * 100_000, size=100_000)
    observation = replace(a_probe(".", world.monitor), seen=Answer(Evidence(status=200, body=body)))
    result = Result(observation=observation, verdict=judge(observation, world.monitor.rules))

    round_ = world.pipeline.absorb(world.monitor, [result], elapsed=world.elapsed)
    world.commit()

    (stored,) = world.store.results
    assert stored.observation.evidence == Evidence(status=200)
    assert (stored.observation.at, stored.verdict.outcome) == (observation.at, result.verdict.outcome)
    assert round_.result is result, "who hears of the round sees all of it"

"""What every store promises, as tests that its own suite inherits.

A suite gives a store that is not open yet, says how the same data is opened again, and lets the tests look inside:

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self, tmp_path: Path) -> Store:
            return MyStore(tmp_path)

        async def reopened(self, store: Store) -> Store:
            await store.close()
            return MyStore(...)

        def contents(self, store: Store) -> Contents: ...

Instants in these tests are whole milliseconds, which every store keeps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from laya_uptime.domain.alert import Transition
from laya_uptime.domain.change import Attempt, Change, Memory, Span
from laya_uptime.domain.heartbeat import Kind, Pulse, Signal
from laya_uptime.domain.incident import SELF, Closing, Incident, Severity, close
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.routing import DueAlert
from laya_uptime.domain.status import Health, Status
from laya_uptime.errors import StoreError
from laya_uptime.ports import Claimed, Store, Write
from laya_uptime.testing.builders import a_change, a_monitor, a_result, an_alert_due, an_incident
from laya_uptime.testing.clock import NOON

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
LEASE = timedelta(seconds=90)
SHOP = a_monitor("shop")
BLOG = a_monitor("blog")
CHANNELS = ("chat", "mail")
HOSTILE = "lone \ud83d surrogate, NUL \x00, quote ' \" \\ ; DROP TABLE span; --, 🚨, \u2028 and \r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One row of the outbox, as far as every store must be able to show it."""

    attempts: int
    sent_at: datetime | None
    dead_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is in a store. `results` are (monitor, instant), spans are in order of their start, the rest is by id."""

    results: Sequence[tuple[str, datetime]]
    spans: Mapping[str, Sequence[Span]]
    incidents: Mapping[str, Incident]
    outbox: Mapping[str, Delivery]


class StoreContract:
    """The promises of any store."""

    @pytest.fixture
    def store(self) -> Store:
        """Return an empty store that is not open."""
        raise NotImplementedError

    async def reopened(self, store: Store) -> Store:
        """Return a store, not open yet, on what this one has kept. A store without a disk is its own successor."""
        raise NotImplementedError

    def contents(self, store: Store) -> Contents:
        """Return what is in it."""
        raise NotImplementedError

    # Opening, and what is remembered

    async def test_a_new_store_remembers_nothing(self, store: Store) -> None:
        """Nothing is known of a monitor that nobody has looked at."""
        memory = await opened(store)

        assert memory == Memory(monitors={}, seen_at=None, seq=0)

    async def test_what_was_committed_is_remembered(self, store: Store) -> None:
        """Health, incident, target, heartbeat and number come back as they were."""
        health = healthy(Status.DOWN, streak=3, since=NOON, believed=Status.DOWN)
        incident = replace(
            an_incident(failures=3),
            reason=Reason.REFUSED,
            detail="Connection refused",
            reminders=1,
            unseen=timedelta(milliseconds=1500),
        )
        span = Span(outcome=Status.DOWN, started=NOON, err="refused", detail="Connection refused")
        await opened(store)
        await store.commit(
            [Change(monitor_id="shop", health=health, seq=0, span=span, incidents=(incident,))],
            seq=1,
            at=NOON + MINUTE,
        )

        memory = await opened(await self.reopened(store))

        assert memory.seen_at == NOON + MINUTE
        assert memory.seq == 1
        assert list(memory.monitors) == ["shop"]
        remembered = memory.monitors["shop"]
        assert remembered.health == health
        assert remembered.seq == 1
        assert remembered.incident == incident
        assert remembered.target == SHOP.target

    async def test_people_keep_believing_what_the_open_span_says(self, store: Store) -> None:
        """A waiting room is stored as the status; what is believed comes from the span that is still open."""
        suspect = healthy(Status.SUSPECT, streak=1, since=NOON + MINUTE, believed=Status.UP, believed_since=NOON)
        await opened(store)
        await store.commit([up(), Change(monitor_id="shop", health=suspect, seq=1)], seq=1, at=NOON)

        memory = await opened(await self.reopened(store))

        assert memory.monitors["shop"].health == suspect
        assert memory.monitors["shop"].seq == 2

    async def test_a_heartbeat_without_anything_to_write_is_remembered(self, store: Store) -> None:
        """It proves that this process was alive."""
        await opened(store)
        await store.commit([], seq=1, at=NOON)
        await store.commit([], seq=2, at=NOON + MINUTE)

        memory = await opened(await self.reopened(store))

        assert (memory.seq, memory.seen_at) == (2, NOON + MINUTE)

    async def test_what_a_job_said_last_is_remembered(self, store: Store) -> None:
        """With the start whose end is awaited, and before any status is known."""
        said = Signal(kind=Kind.START, at=NOON + MINUTE, text=HOSTILE.replace("\ud83d", "?"), exit_code=7)
        pulse = Pulse(since=NOON, started=NOON + MINUTE, began=NOON + 2 * MINUTE, heard=said)
        await opened(store)
        await store.commit([Change(monitor_id="shop", pulse=Pulse(since=NOON))], seq=1, at=NOON)
        await store.commit([Change(monitor_id="shop", pulse=pulse)], seq=2, at=NOON)

        memory = await opened(await self.reopened(store))

        assert memory.pulses == {"shop": pulse}
        assert memory.monitors == {}

    async def test_what_a_job_said_is_written_with_what_follows_or_not_at_all(self, store: Store) -> None:
        """A status that somebody else wrote stops both."""
        await opened(store)
        await store.commit([up()], seq=1, at=NOON)

        with pytest.raises(StoreError):
            await store.commit([replace(up(seq=7), pulse=Pulse(since=NOON))], seq=2, at=NOON)

        assert (await opened(await self.reopened(store))).pulses == {}

    async def test_what_a_job_said_is_forgotten_once_it_is_not_listened_to(self, store: Store) -> None:
        """Should it come back, that is no news of then."""
        await opened(store)
        await store.commit([Change(monitor_id="shop", pulse=Pulse(since=NOON))], seq=1, at=NOON)
        store = await self.reopened(store)
        await store.open([BLOG], CHANNELS, at=NOON)

        memory = await opened(await self.reopened(store))

        assert memory.pulses == {}

    async def test_a_closed_incident_is_not_remembered(self, store: Store) -> None:
        """Only what is still open is taken up again."""
        incident = an_incident()
        await opened(store)
        await store.commit([up(), Change(monitor_id="shop", incidents=(incident,))], seq=1, at=NOON)
        ended = close(incident, at=NOON + MINUTE, why=Closing.RECOVERED)
        await store.commit([Change(monitor_id="shop", incidents=(ended,))], seq=2, at=NOON + MINUTE)

        memory = await opened(await self.reopened(store))

        assert memory.monitors["shop"].incident is None
        assert self.contents(store).incidents == {incident.id: ended}

    async def test_a_removed_monitor_is_remembered_with_its_incident(self, store: Store) -> None:
        """Somebody has to close it, and may."""
        incident = an_incident("blog")
        await opened(store, SHOP, BLOG)
        await store.commit(
            [up(), up("blog"), Change(monitor_id="blog", incidents=(incident,))],
            seq=1,
            at=NOON,
        )
        later = await self.reopened(store)

        memory = await opened(later, SHOP)
        ended = close(incident, at=NOON + MINUTE, why=Closing.MONITOR_REMOVED)
        await later.commit([Change(monitor_id="blog", incidents=(ended,))], seq=2, at=NOON + MINUTE)

        assert memory.monitors["blog"].incident == incident
        assert self.contents(later).incidents[incident.id] == ended

    async def test_a_monitor_that_comes_back_goes_on_with_its_number(self, store: Store) -> None:
        """Its history is one history."""
        await opened(store, SHOP, BLOG)
        await store.commit([up("blog")], seq=1, at=NOON)
        between = await self.reopened(store)
        await opened(between, SHOP)
        later = await self.reopened(between)

        memory = await opened(later, SHOP, BLOG)
        await later.commit([up("blog", seq=1, at=NOON + MINUTE)], seq=2, at=NOON + MINUTE)

        assert memory.monitors["blog"].seq == 1
        assert [span.started for span in self.contents(later).spans["blog"]] == [NOON, NOON + MINUTE]

    async def test_another_target_is_noticed_until_it_is_taken_over(self, store: Store) -> None:
        """The engine must see that a monitor watches something else now, even if it dies before it acts on that."""
        moved = a_monitor("shop", target="https://elsewhere.example/")
        await opened(store)
        await store.commit([up()], seq=1, at=NOON)

        second = await self.reopened(store)
        first_look = await opened(second, moved)
        third = await self.reopened(second)
        second_look = await opened(third, moved)
        await third.commit([Change(monitor_id="shop", target=moved.target)], seq=2, at=NOON)
        after = await opened(await self.reopened(third), moved)

        assert first_look.monitors["shop"].target == SHOP.target
        assert second_look.monitors["shop"].target == SHOP.target
        assert after.monitors["shop"].target == moved.target

    async def test_a_target_that_nobody_ever_looked_at_is_simply_replaced(self, store: Store) -> None:
        """There is no incident to close about it, now or later."""
        moved = a_monitor("shop", target="https://elsewhere.example/")
        await opened(store)
        second = await self.reopened(store)
        await opened(second, moved)
        await second.commit([up()], seq=1, at=NOON)

        memory = await opened(await self.reopened(second), moved)

        assert memory.monitors["shop"].target == moved.target

    async def test_own_trouble_is_recorded_and_is_no_monitor(self, store: Store) -> None:
        """laya-uptime's own incidents and their alerts go the same way as all others."""
        ended = close(an_incident(SELF), at=NOON, why=Closing.RECOVERED)
        alert = an_alert_due("chat", incident=ended.id)
        await opened(store)
        await store.commit([Change(monitor_id=SELF, incidents=(ended,), alerts=(alert,))], seq=1, at=NOON)
        later = await self.reopened(store)

        memory = await opened(later)

        assert memory.monitors == {}
        assert self.contents(later).incidents == {ended.id: ended}
        assert ids(await claim(later)) == [alert.alert.id]

    async def test_a_store_that_was_set_aside_starts_afresh(self, store: Store) -> None:
        """Nothing of it is taken up, and it can be written again."""
        await opened(store)
        await store.commit([up()], seq=1, at=NOON)

        await store.set_aside(at=NOON)
        memory = await opened(store)
        await store.commit([up()], seq=1, at=NOON)

        assert memory == Memory(monitors={}, seen_at=None, seq=0)

    # All or nothing

    async def test_a_commit_that_was_written_is_left_alone_when_it_is_repeated(self, store: Store) -> None:
        """Whoever does not know whether a commit was written may simply try again."""
        round_ = replace(up(), results=(a_result(".", SHOP),), alerts=(an_alert_due(),))
        await opened(store)
        await store.commit([round_], seq=1, at=NOON)

        await store.commit([round_], seq=1, at=NOON + MINUTE)

        kept = self.contents(store)
        assert kept.results == [("shop", NOON)]
        assert len(kept.outbox) == 1
        memory = await opened(await self.reopened(store))
        assert (memory.seq, memory.seen_at) == (1, NOON)

    @pytest.mark.parametrize("stale", [0, 2, 7])
    async def test_a_status_that_somebody_else_wrote_refuses_the_whole_commit(self, store: Store, stale: int) -> None:
        """The number of the stored status is 1, so no other one may write; and nothing of the commit is kept."""
        incident = an_incident("blog")
        await opened(store, SHOP, BLOG)
        await store.commit([up()], seq=1, at=NOON)
        await store.commit([a_change(an_alert_due("chat"))], seq=2, at=NOON)
        before = self.contents(store)
        refused: list[Write] = [
            Change(
                monitor_id="blog", results=(a_result(".", BLOG),), incidents=(incident,), alerts=(an_alert_due("mail"),)
            ),
            up("shop", seq=stale, at=NOON + MINUTE),
            Attempt(alert_id=an_alert_due("chat").alert.id, attempts=1, sent_at=NOON),
        ]

        with pytest.raises(StoreError):
            await store.commit(refused, seq=3, at=NOON + MINUTE)

        assert self.contents(store) == before
        await store.commit([up("shop", seq=1, at=NOON + MINUTE)], seq=3, at=NOON + MINUTE)
        memory = await opened(await self.reopened(store), SHOP, BLOG)
        assert memory.seq == 3
        assert memory.monitors["shop"].seq == 2

    async def test_changes_of_one_monitor_follow_each_other_in_one_commit(self, store: Store) -> None:
        """A batch may hold several rounds of one monitor."""
        await opened(store)

        await store.commit([up(), up(seq=1, at=NOON + MINUTE), up(seq=2, at=NOON + 2 * MINUTE)], seq=1, at=NOON)

        memory = await opened(await self.reopened(store))
        assert memory.monitors["shop"].seq == 3
        assert memory.monitors["shop"].health.since == NOON + 2 * MINUTE

    async def test_the_same_change_twice_in_one_commit_is_refused(self, store: Store) -> None:
        """The second one no longer finds the number that it read."""
        await opened(store)

        with pytest.raises(StoreError):
            await store.commit([up(), up()], seq=1, at=NOON)

        assert self.contents(store).spans == {}

    async def test_a_monitor_that_was_never_opened_refuses_the_whole_commit(self, store: Store) -> None:
        """It is a mistake of the caller, and no reason to lose the order of things."""
        await opened(store)

        with pytest.raises(StoreError):
            await store.commit([up(), up("nobody")], seq=1, at=NOON)

        assert self.contents(store).spans == {}
        await store.commit([up()], seq=1, at=NOON)

    async def test_any_text_can_be_stored(self, store: Store) -> None:
        """One character of a stranger's answer must not stop the whole ledger."""
        monitor = a_monitor("shop", name=HOSTILE, target=HOSTILE)
        alert = an_alert_due()
        alert = replace(
            alert,
            alert=replace(alert.alert, facts=replace(alert.alert.facts, detail=HOSTILE, components=(HOSTILE,))),
            decision=(HOSTILE,),
        )
        incident = replace(an_incident(), detail=HOSTILE)
        span = Span(outcome=Status.DOWN, started=NOON, detail=HOSTILE)
        await opened(store, monitor)

        await store.commit(
            [
                Change(monitor_id="shop", health=healthy(Status.DOWN), seq=0, span=span, incidents=(incident,)),
                Change(monitor_id="shop", alerts=(alert,), target=HOSTILE),
            ],
            seq=1,
            at=NOON,
        )
        [claimed] = await claim(store)
        await store.commit([failed(alert, attempts=1, cause=HOSTILE, again=NOON + MINUTE)], seq=2, at=NOON)

        assert "🚨" in claimed.alert.facts.detail
        memory = await opened(await self.reopened(store), monitor)
        remembered = memory.monitors["shop"].incident
        assert remembered is not None
        assert "DROP TABLE" in remembered.detail

    # Spans

    async def test_a_span_ends_where_the_next_one_begins(self, store: Store) -> None:
        """So that time is never counted twice and never missing."""
        await opened(store)
        await store.commit([up()], seq=1, at=NOON)

        down = Span(outcome=Status.DOWN, started=NOON + MINUTE, err="refused", detail="no", incident_id="i")
        await store.commit([Change(monitor_id="shop", span=down)], seq=2, at=NOON)

        assert self.contents(store).spans == {
            "shop": [Span(outcome=Status.UP, started=NOON, ended=NOON + MINUTE), down],
        }

    async def test_a_belief_that_lasted_no_time_leaves_no_trace(self, store: Store) -> None:
        """Nor does one that begins before the one that it ends."""
        await opened(store)
        await store.commit([up()], seq=1, at=NOON)

        for number, outcome in enumerate((Status.UNKNOWN, Status.DOWN, Status.DEGRADED)):
            span = Span(outcome=outcome, started=NOON + MINUTE)
            await store.commit([Change(monitor_id="shop", span=span)], seq=2 + number, at=NOON)

        assert self.contents(store).spans["shop"] == [
            Span(outcome=Status.UP, started=NOON, ended=NOON + MINUTE),
            Span(outcome=Status.DEGRADED, started=NOON + MINUTE),
        ]

    async def test_a_span_that_begins_where_an_ended_one_began_does_not_stop_the_ledger(self, store: Store) -> None:
        """A clock that was set back may bring that about; the news counts."""
        await opened(store)
        await store.commit([up()], seq=1, at=NOON)
        await store.commit(
            [Change(monitor_id="shop", span=Span(outcome=Status.DOWN, started=NOON + MINUTE))], seq=2, at=NOON
        )

        await store.commit([Change(monitor_id="shop", span=Span(outcome=Status.UNKNOWN, started=NOON))], seq=3, at=NOON)

        assert self.contents(store).spans["shop"][-1] == Span(outcome=Status.UNKNOWN, started=NOON)

    async def test_monitors_do_not_end_each_others_spans(self, store: Store) -> None:
        """Each has its own history."""
        await opened(store, SHOP, BLOG)
        await store.commit([up()], seq=1, at=NOON)

        await store.commit([up("blog", at=NOON + MINUTE)], seq=2, at=NOON)

        assert self.contents(store).spans["shop"] == [Span(outcome=Status.UP, started=NOON)]

    # Incidents

    async def test_an_incident_that_is_written_again_is_the_same_one(self, store: Store) -> None:
        """It grows worse, is counted on, and ends."""
        incident = an_incident(severity=Severity.DEGRADED)
        await opened(store)
        await store.commit([Change(monitor_id="shop", incidents=(incident,))], seq=1, at=NOON)
        worse = replace(
            incident,
            severity=Severity.DOWN,
            down_at=NOON + MINUTE,
            confirmed_at=NOON + MINUTE,
            failures=5,
            reminders=1,
            reason=Reason.TIMEOUT,
            detail="no answer",
            unseen=MINUTE,
        )

        await store.commit([Change(monitor_id="shop", incidents=(worse,))], seq=2, at=NOON)

        assert self.contents(store).incidents == {incident.id: worse}

    async def test_a_monitor_has_one_open_incident(self, store: Store) -> None:
        """Whatever else goes wrong, nobody is told of the same outage under two names."""
        await opened(store)
        await store.commit([Change(monitor_id="shop", incidents=(an_incident(),))], seq=1, at=NOON)
        second = an_incident(at=NOON + MINUTE)

        with pytest.raises(StoreError):
            await store.commit([up(), Change(monitor_id="shop", incidents=(second,))], seq=2, at=NOON)

        assert list(self.contents(store).incidents) == [an_incident().id]
        assert self.contents(store).spans == {}

    async def test_an_incident_may_follow_another_in_one_change(self, store: Store) -> None:
        """Down ends while the monitor is still degraded."""
        await opened(store)
        await store.commit([Change(monitor_id="shop", incidents=(an_incident(),))], seq=1, at=NOON)
        ended = close(an_incident(), at=NOON + MINUTE, why=Closing.RECOVERED)
        following = an_incident(at=NOON + MINUTE, severity=Severity.DEGRADED)

        await store.commit([up(), Change(monitor_id="shop", incidents=(ended, following))], seq=2, at=NOON)

        memory = await opened(await self.reopened(store))
        assert memory.monitors["shop"].incident == following

    # The outbox

    async def test_a_decision_is_recorded_once(self, store: Store) -> None:
        """However often a process comes to it again."""
        await opened(store)
        await store.commit([a_change(an_alert_due())], seq=1, at=NOON)

        await store.commit([a_change(an_alert_due(), an_alert_due(at=NOON + MINUTE))], seq=2, at=NOON)

        assert ids(await claim(store)) == [an_alert_due().alert.id]
        assert len(self.contents(store).outbox) == 1

    async def test_a_decision_that_was_carried_out_is_not_recorded_again(self, store: Store) -> None:
        """A delivered alert stays delivered."""
        await opened(store)
        await store.commit([a_change(an_alert_due())], seq=1, at=NOON)
        await claim(store)
        await store.commit([sent(an_alert_due(), at=NOON)], seq=2, at=NOON)

        await store.commit([a_change(an_alert_due())], seq=3, at=NOON)

        assert await claim(store, at=NOON + DAY) == []

    async def test_transition_ordinal_channel_and_incident_each_make_another_decision(self, store: Store) -> None:
        """They are told apart by all four."""
        decisions = [
            an_alert_due(),
            an_alert_due("mail"),
            an_alert_due(transition=Transition.REMINDER, ordinal=1),
            an_alert_due(transition=Transition.REMINDER, ordinal=2),
            an_alert_due(incident="another"),
        ]
        await opened(store)

        await store.commit([a_change(*decisions)], seq=1, at=NOON)

        assert set(self.contents(store).outbox) == {due.alert.id for due in decisions}

    async def test_an_alert_comes_out_as_it_went_in(self, store: Store) -> None:
        """Every fact, and until when it is tried."""
        due = an_alert_due()
        await opened(store)
        await store.commit([a_change(due)], seq=1, at=NOON)

        claimed = await claim(await self.ready(store))

        assert claimed == [Claimed(alert=due.alert, attempts=0, expires_at=due.expires_at)]

    async def test_an_alert_that_is_not_due_yet_waits(self, store: Store) -> None:
        """It may be announced for later."""
        await opened(store)
        await store.commit([a_change(an_alert_due(at=NOON + MINUTE))], seq=1, at=NOON)

        assert await claim(store, at=NOON) == []
        assert len(await claim(store, at=NOON + MINUTE)) == 1

    async def test_recovered_never_overtakes_down(self, store: Store) -> None:
        """Alerts of one incident go to one channel one at a time, in the order in which they were decided."""
        story = [
            an_alert_due(transition=Transition.DOWN),
            an_alert_due(transition=Transition.REMINDER, ordinal=1, at=NOON + MINUTE),
            an_alert_due(transition=Transition.RECOVERED, at=NOON + 2 * MINUTE),
        ]
        later = NOON + 3 * MINUTE
        await opened(store)
        await store.commit([a_change(*story)], seq=1, at=NOON)

        handed_out = []
        for number, due in enumerate(story):
            handed_out.append(ids(await claim(store, at=later)))
            assert await claim(store, at=later) == []  # the next one waits for the stamp of this one
            await store.commit([sent(due, at=later)], seq=2 + number, at=later)

        assert handed_out == [[due.alert.id] for due in story]
        assert await claim(store, at=later) == []

    async def test_the_order_is_that_of_decisions_when_the_clock_was_set_back(self, store: Store) -> None:
        """By the clock, the recovery came an hour before the outage."""
        down = an_alert_due(transition=Transition.DOWN)
        recovered = an_alert_due(transition=Transition.RECOVERED, at=NOON - 60 * MINUTE)
        await opened(store)
        await store.commit([a_change(down)], seq=1, at=NOON)
        await store.commit([a_change(recovered)], seq=2, at=NOON - 60 * MINUTE)

        first = ids(await claim(await self.ready(store)))

        assert first == [down.alert.id]

    @pytest.mark.parametrize("transition", [Transition.DOWN, Transition.RECOVERED])
    async def test_of_alerts_decided_at_one_instant_the_first_decision_is_first(
        self, store: Store, transition: Transition
    ) -> None:
        """The milliseconds of two decisions may be the same."""
        other = Transition.RECOVERED if transition is Transition.DOWN else Transition.DOWN
        await opened(store)
        await store.commit([a_change(an_alert_due(transition=transition))], seq=1, at=NOON)
        await store.commit([a_change(an_alert_due(transition=other))], seq=2, at=NOON)

        assert [claimed.alert.transition for claimed in await claim(store)] == [transition]

    async def test_one_incident_does_not_hold_up_another_nor_one_channel_another(self, store: Store) -> None:
        """Only what belongs together waits for each other."""
        stuck = an_alert_due("chat")
        held = an_alert_due("chat", Transition.RECOVERED, at=NOON + MINUTE)
        elsewhere = an_alert_due("chat", incident="another", at=NOON + 2 * MINUTE)
        by_mail = an_alert_due("mail", at=NOON + 2 * MINUTE)
        later = NOON + 3 * MINUTE
        await opened(store)
        await store.commit([a_change(stuck)], seq=1, at=NOON)
        await claim(store, at=NOON)
        await store.commit([failed(stuck, attempts=1, again=NOON + DAY)], seq=2, at=NOON)

        await store.commit([a_change(held, elsewhere, by_mail)], seq=3, at=NOON)

        assert set(ids(await claim(store, at=later))) == {elsewhere.alert.id, by_mail.alert.id}

    async def test_a_channel_gets_no_more_than_it_has_room_for_oldest_first(self, store: Store) -> None:
        """And a channel that is not asked for gets nothing."""
        waiting = [an_alert_due("chat", incident=f"incident {number}") for number in range(5)]
        by_mail = [an_alert_due("mail", incident=f"incident {number}") for number in range(5)]
        await opened(store)
        for number, pair in enumerate(zip(waiting, by_mail, strict=True)):
            await store.commit([a_change(*pair)], seq=1 + number, at=NOON)

        first = ids(await claim(store, {"chat": 2, "mail": 1}))
        second = ids(await claim(store, {"chat": 9, "mail": 0}))

        assert first == ids_of(waiting[:2]) + ids_of(by_mail[:1])
        assert second == ids_of(waiting[2:])

    async def test_an_alert_under_lease_is_not_given_out_again_before_the_lease_ends(self, store: Store) -> None:
        """Its deliverer is the only one until then; if that one is stuck for good, another gets it."""
        await opened(store)
        await store.commit([a_change(an_alert_due())], seq=1, at=NOON)
        await claim(store, at=NOON)

        assert await claim(store, at=NOON + LEASE - timedelta(milliseconds=1)) == []
        assert ids(await claim(store, at=NOON + LEASE)) == [an_alert_due().alert.id]
        assert await claim(store, at=NOON + LEASE) == []

    async def test_an_alert_comes_back_when_its_process_dies(self, store: Store) -> None:
        """The next one does not wait for the end of a lease that nobody holds."""
        await opened(store)
        await store.commit([a_change(an_alert_due())], seq=1, at=NOON)
        await claim(store, at=NOON)

        later = await self.ready(store)

        assert ids(await claim(later, at=NOON)) == [an_alert_due().alert.id]

    async def test_what_was_sent_is_never_given_out_again(self, store: Store) -> None:
        """Not by a lease that ends, not after a restart."""
        await opened(store)
        await store.commit([a_change(an_alert_due())], seq=1, at=NOON)
        await claim(store)

        await store.commit([sent(an_alert_due(), at=NOON)], seq=2, at=NOON)

        assert await claim(store, at=NOON + DAY) == []
        assert await claim(await self.ready(store), at=NOON + DAY) == []
        assert self.contents(store).outbox[an_alert_due().alert.id] == Delivery(attempts=1, sent_at=NOON, dead_at=None)

    async def test_what_failed_is_given_out_again_when_its_time_has_come(self, store: Store) -> None:
        """With the number of attempts so far, also after a restart."""
        await opened(store)
        await store.commit([a_change(an_alert_due())], seq=1, at=NOON)
        await claim(store)

        await store.commit([failed(an_alert_due(), attempts=1, again=NOON + MINUTE)], seq=2, at=NOON)

        later = await self.ready(store)
        assert await claim(later, at=NOON + MINUTE - timedelta(milliseconds=1)) == []
        [again] = await claim(later, at=NOON + MINUTE)
        assert again.attempts == 1

    async def test_what_was_given_up_is_never_tried_again_and_holds_up_nothing(self, store: Store) -> None:
        """The alert behind it is next."""
        behind = an_alert_due(transition=Transition.RECOVERED, at=NOON + MINUTE)
        await opened(store)
        await store.commit([a_change(an_alert_due(), behind)], seq=1, at=NOON)
        await claim(store)

        await store.commit([Attempt(alert_id=an_alert_due().alert.id, attempts=3, dead_at=NOON)], seq=2, at=NOON)

        assert ids(await claim(store, at=NOON + DAY)) == [behind.alert.id]
        assert self.contents(store).outbox[an_alert_due().alert.id] == Delivery(attempts=3, sent_at=None, dead_at=NOON)

    async def test_a_late_record_changes_nothing_that_is_over(self, store: Store) -> None:
        """A deliverer that lost its lease does not revive what another one has sent."""
        await opened(store)
        await store.commit([a_change(an_alert_due())], seq=1, at=NOON)
        await store.commit([sent(an_alert_due(), at=NOON)], seq=2, at=NOON)

        await store.commit([failed(an_alert_due(), attempts=1, again=NOON + MINUTE)], seq=3, at=NOON)
        await store.commit([Attempt(alert_id="nobody's", attempts=1, dead_at=NOON)], seq=4, at=NOON)

        assert self.contents(store).outbox == {
            an_alert_due().alert.id: Delivery(attempts=1, sent_at=NOON, dead_at=None)
        }

    async def test_the_note_to_another_channel_is_in_the_commit_that_gives_up(self, store: Store) -> None:
        """There is no moment at which nobody would be told."""
        note = an_alert_due("mail", Transition.UNDELIVERED, ordinal=1)
        await opened(store)
        await store.commit([a_change(an_alert_due("chat"))], seq=1, at=NOON)
        await claim(store)
        given_up = Attempt(alert_id=an_alert_due("chat").alert.id, attempts=1, dead_at=NOON, also=(note,))

        await store.commit([given_up], seq=2, at=NOON)
        await store.commit([given_up], seq=3, at=NOON)

        assert ids(await claim(await self.ready(store))) == [note.alert.id]
        assert len(self.contents(store).outbox) == 2

    async def test_alerts_of_a_removed_channel_wait_for_a_day_for_its_return(self, store: Store) -> None:
        """Then nobody wants them any more; they stay readable."""
        await opened(store)
        await store.commit([a_change(an_alert_due("mail"))], seq=1, at=NOON)
        without = await self.reopened(store)
        await without.open([SHOP], ["chat"], at=NOON + MINUTE)
        back = await self.reopened(without)
        await back.open([SHOP], CHANNELS, at=NOON + 2 * MINUTE)
        returned = ids(await claim(back, at=NOON + 2 * MINUTE))

        without = await self.reopened(back)
        await without.open([SHOP], ["chat"], at=NOON + 2 * DAY)
        back = await self.reopened(without)
        await back.open([SHOP], CHANNELS, at=NOON + 2 * DAY)

        assert returned == [an_alert_due("mail").alert.id]
        assert await claim(back, at=NOON + 2 * DAY) == []
        assert self.contents(back).outbox[an_alert_due("mail").alert.id].dead_at == NOON + 2 * DAY

    # When to look again

    async def test_nothing_is_due_where_nothing_waits(self, store: Store) -> None:
        """Neither in an empty outbox, nor for channels that have nothing, nor for no channels at all."""
        await opened(store)
        await store.commit([a_change(an_alert_due("chat"))], seq=1, at=NOON)

        assert await store.next_due(["mail"]) is None
        assert await store.next_due([]) is None

    async def test_the_next_alert_is_due_when_it_can_be_claimed(self, store: Store) -> None:
        """When it comes due, when its lease ends, when it is tried again: whichever comes first of all."""
        first, second = an_alert_due("chat", at=NOON + MINUTE), an_alert_due("mail", at=NOON + DAY)
        await opened(store)
        await store.commit([a_change(first, second)], seq=1, at=NOON)

        waiting = await store.next_due(CHANNELS)
        await claim(store, at=NOON + MINUTE)
        leased = await store.next_due(CHANNELS)
        await store.commit([failed(first, attempts=1, again=NOON + 10 * MINUTE)], seq=2, at=NOON)
        failing = await store.next_due(CHANNELS)
        await store.commit([sent(first, at=NOON)], seq=3, at=NOON)
        other = await store.next_due(CHANNELS)

        assert [waiting, leased, failing, other] == [
            NOON + MINUTE,
            NOON + MINUTE + LEASE,
            NOON + 10 * MINUTE,
            NOON + DAY,
        ]

    async def test_an_alert_behind_another_is_not_due_before_that_one(self, store: Store) -> None:
        """Else whoever waits for it would look again and again for nothing."""
        first = an_alert_due("chat")
        behind = an_alert_due("chat", Transition.RECOVERED, at=NOON + MINUTE)
        await opened(store)
        await store.commit([a_change(first, behind)], seq=1, at=NOON)
        await claim(store, at=NOON)

        await store.commit([failed(first, attempts=1, again=NOON + 10 * MINUTE)], seq=2, at=NOON)

        assert await store.next_due(CHANNELS) == NOON + 10 * MINUTE
        assert await claim(store, at=NOON + 5 * MINUTE) == []

    # Old data

    async def test_old_results_and_finished_deliveries_are_deleted_and_nothing_else(self, store: Store) -> None:
        """What waits is kept however old it is, and so are spans and incidents."""
        old, new = a_result(".", SHOP), a_result(".", SHOP, at=NOON + DAY)
        finished, waiting = an_alert_due("chat"), an_alert_due("mail")
        recent = an_alert_due("chat", Transition.RECOVERED, at=NOON + DAY)
        await opened(store)
        await store.commit(
            [
                replace(up(), results=(old,), incidents=(an_incident(),), alerts=(finished, waiting)),
                sent(finished, at=NOON),
            ],
            seq=1,
            at=NOON,
        )
        await store.commit([a_change(recent, results=(new,)), sent(recent, at=NOON + DAY)], seq=2, at=NOON)

        pieces = await pruned(store, before=NOON + DAY)

        assert sum(pieces) >= 2
        kept = self.contents(store)
        assert kept.results == [("shop", NOON + DAY)]
        assert set(kept.outbox) == {waiting.alert.id, recent.alert.id}
        assert list(kept.spans) == ["shop"]
        assert list(kept.incidents) == [an_incident().id]
        memory = await opened(await self.reopened(store))
        assert memory.seq == 2

    async def test_there_is_an_end_to_pruning(self, store: Store) -> None:
        """Each piece is bounded, and the last one is empty."""
        await opened(store)
        for number in range(600):
            await store.commit([a_change(results=(a_result(".", SHOP),))], seq=1 + number, at=NOON)

        pieces = await pruned(store, before=NOON + DAY)

        assert pieces[-1] == 0
        assert all(pieces[:-1])
        assert self.contents(store).results == []

    async def test_what_is_decided_after_pruning_still_comes_last(self, store: Store) -> None:
        """Deleted rows do not give their place in the line to later ones."""
        first, second, third = (
            an_alert_due(transition=each) for each in (Transition.DEGRADED, Transition.DOWN, Transition.RECOVERED)
        )
        await opened(store)
        await store.commit([a_change(first, second)], seq=1, at=NOON)
        await store.commit([sent(second, at=NOON)], seq=2, at=NOON)
        await pruned(store, before=NOON + DAY)

        await store.commit([a_change(third)], seq=3, at=NOON)

        assert ids(await claim(store)) == [first.alert.id]

    async def ready(self, store: Store) -> Store:
        """Return the store after a restart, open with the same monitors and channels."""
        later = await self.reopened(store)
        await opened(later, SHOP, BLOG)
        return later


async def opened(store: Store, *monitors: Monitor) -> Memory:
    """Open it with these monitors, as it stands the shop alone, and return what it remembers."""
    return await store.open(monitors or [SHOP], CHANNELS, at=NOON)


async def claim(store: Store, capacity: Mapping[str, int] | None = None, *, at: datetime = NOON) -> Sequence[Claimed]:
    """Claim what is due then, as it stands with room for nine per channel."""
    room = dict.fromkeys(CHANNELS, 9) if capacity is None else capacity
    return list(await store.claim(room, owner="a worker", at=at, lease=LEASE))


async def pruned(store: Store, *, before: datetime) -> list[int]:
    """Prune until there is nothing left to do, and return the size of each piece, the last one 0."""
    pieces = [await store.prune(before=before)]
    while pieces[-1]:
        pieces.append(await store.prune(before=before))
    return pieces


def ids(claimed: Iterable[Claimed]) -> list[str]:
    """Return the ids of what was claimed."""
    return [each.alert.id for each in claimed]


def ids_of(alerts: Iterable[DueAlert]) -> list[str]:
    """Return the ids of what is due."""
    return [each.alert.id for each in alerts]


def healthy(
    status: Status,
    *,
    streak: int = 0,
    since: datetime = NOON,
    believed: Status | None = None,
    believed_since: datetime | None = None,
) -> Health:
    """Return a health; as it stands, one that is believed as it is."""
    return Health(
        status=status,
        streak=streak,
        since=since,
        believed=believed or status,
        believed_since=believed_since or since,
    )


def up(monitor_id: str = "shop", *, seq: int = 0, at: datetime = NOON) -> Change:
    """Return the change of a monitor to up, where its stored status has this number."""
    return Change(
        monitor_id=monitor_id,
        health=healthy(Status.UP, since=at),
        seq=seq,
        span=Span(outcome=Status.UP, started=at),
    )


def sent(due: DueAlert, *, at: datetime, attempts: int = 1) -> Attempt:
    """Return the record of a delivery."""
    return Attempt(alert_id=due.alert.id, attempts=attempts, sent_at=at)


def failed(due: DueAlert, *, attempts: int, again: datetime, cause: str = "the mail server is away") -> Attempt:
    """Return the record of an attempt that failed and is to be repeated."""
    return Attempt(alert_id=due.alert.id, attempts=attempts, next_try_at=again, cause=cause)

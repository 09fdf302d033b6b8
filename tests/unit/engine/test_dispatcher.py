"""The dispatcher in virtual time, between a real ledger in memory and notifiers that behave badly."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from laya_uptime.adapters.stores.memory import MemoryStore, Row
from laya_uptime.domain.alert import Alert, AlertStatus, Transition
from laya_uptime.domain.change import Attempt
from laya_uptime.domain.routing import DueAlert
from laya_uptime.engine.dispatcher import AT_ONCE, Dispatcher
from laya_uptime.engine.writer import Writer
from laya_uptime.errors import DeliveryError
from laya_uptime.ports import Reach, Write
from laya_uptime.testing import (
    FakeClock,
    NoNetwork,
    RecordingListener,
    RecordingNotifier,
    TroubledStore,
    a_change,
    a_channel,
    a_monitor,
    an_alert_due,
)

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
DOWN, REMINDER, RECOVERED = Transition.DOWN, Transition.REMINDER, Transition.RECOVERED


class Picky(RecordingNotifier):
    """A notifier that never takes what is about one incident."""

    async def deliver(self, alert: Alert, via: Reach) -> None:
        if alert.incident_id == "poison":
            raise DeliveryError("this one I cannot stomach", retry=True)
        await super().deliver(alert, via)


class Deaf(RecordingNotifier):
    """A notifier that does not hear of an outage for the first three times."""

    async def deliver(self, alert: Alert, via: Reach) -> None:
        if alert.transition is DOWN and sum(each == alert for each in self.attempts) < 3:
            self.attempts.append(alert)
            raise DeliveryError("what was that?", retry=True)
        await super().deliver(alert, via)


class Office:
    """The ledger, the writer in front of it, and the dispatcher behind it, one process after another."""

    def __init__(self, chat: RecordingNotifier | None = None) -> None:
        self.clock = FakeClock()
        self.memory = MemoryStore()
        self.store = TroubledStore(self.memory)
        self.listener = RecordingListener()
        self.chat = chat or RecordingNotifier("chat.example")
        self.mail = RecordingNotifier("alerts@example.com")
        self.channels = [a_channel(self.chat, "chat"), a_channel(self.mail, "mail", kind="email", title="Email")]
        self.loses_stamps = False
        self.processes = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Office"]:
        """Start a process; leave it as if it were killed."""
        self.processes += 1
        memory = await self.memory.open([a_monitor()], [channel.id for channel in self.channels], at=self.clock.now())
        self.dispatcher = Dispatcher(
            self.store,
            self.channels,
            via=NoNetwork(self.clock),
            clock=self.clock,
            listener=self.listener,
            submit=self._submit,
            chance=lambda: 0.0,
            owner=f"process-{self.processes}",
        )
        self.writer = Writer(
            self.store,
            clock=self.clock,
            listener=self.listener,
            committed=self.dispatcher.committed,
            rescue=self.dispatcher.rescue,
            degraded=lambda _: None,
        )
        self.writer.start_at(memory.seq)
        with self.clock.with_timeouts():
            tasks = [asyncio.create_task(self.writer.run()), asyncio.create_task(self.dispatcher.run())]
            await self.clock.settle()
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await self.dispatcher.settle(0)

    def _submit(self, write: Write) -> None:
        if not (self.loses_stamps and isinstance(write, Attempt)):
            self.writer.submit(write)

    async def alarm(self, *alerts: DueAlert) -> None:
        """Decide that these are due, now."""
        self.writer.submit(a_change(*alerts))
        await self.clock.settle()

    def due(
        self,
        transition: Transition = DOWN,
        *,
        incident: str = "one",
        channel: str = "chat",
        ordinal: int = 0,
    ) -> DueAlert:
        return an_alert_due(channel, transition, incident=incident, ordinal=ordinal, at=self.clock.now())

    def attempted_after(self, notifier: RecordingNotifier) -> list[float]:
        """Return when it was tried, in seconds since the first time."""
        return [round((at - notifier.attempted_at[0]) / SECOND, 1) for at in notifier.attempted_at]

    def row(self, due: DueAlert) -> Row:
        return self.memory.outbox[due.alert.id]


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    async with Office().open() as office:
        yield office


async def test_an_alert_is_delivered_at_once_and_stamped(office: Office) -> None:
    due = office.due()

    await office.alarm(due)

    assert office.chat.delivered == [due.alert]
    assert office.row(due).sent_at == office.clock.now()
    assert [channel for channel, _ in office.listener.deliveries] == ["chat"]


async def test_it_is_delivered_once(office: Office) -> None:
    await office.alarm(office.due())

    await office.clock.advance("2d")

    assert len(office.chat.attempts) == 1


async def test_alerts_of_one_incident_keep_their_order_on_each_channel(office: Office) -> None:
    office.chat.fail(3)
    for transition, ordinal in ((DOWN, 0), (REMINDER, 1), (REMINDER, 2), (RECOVERED, 0)):
        await office.alarm(
            office.due(transition, ordinal=ordinal), office.due(transition, ordinal=ordinal, channel="mail")
        )
        await office.clock.advance("1s")

    await office.clock.advance("10m")

    assert office.mail.transitions == [DOWN, REMINDER, REMINDER, RECOVERED]
    assert office.chat.transitions == [DOWN, REMINDER, REMINDER, RECOVERED]
    assert [alert.ordinal for alert in office.chat.delivered] == [0, 1, 2, 0]


async def test_one_bad_channel_delays_nobody_n02(office: Office) -> None:
    office.chat.hang()

    for number in range(20):
        await office.alarm(office.due(incident=f"{number}"), office.due(incident=f"{number}", channel="mail"))

    assert len(office.mail.delivered) == 20
    assert len(office.chat.attempts) == AT_ONCE


async def test_a_poison_message_holds_up_no_other_incident_n02() -> None:
    async with Office(Picky()).open() as office:
        await office.alarm(office.due(incident="poison"))

        for number in range(20):
            await office.alarm(office.due(incident=f"{number}"))
        await office.clock.advance("1m")

        assert len(office.chat.delivered) == 20


async def test_an_attempt_that_hangs_ends_after_thirty_seconds_and_is_made_again(office: Office) -> None:
    office.chat.hang()
    await office.alarm(office.due())

    await office.clock.advance("29s")
    assert office.listener.failed_deliveries == []
    office.chat.heal()
    await office.clock.advance("6s")

    assert [failed.cause for failed in office.listener.failed_deliveries] == ["no answer within 30 s"]
    assert len(office.chat.delivered) == 1


async def test_waits_grow_until_a_quarter_of_an_hour_n01(office: Office) -> None:
    office.chat.fail()
    await office.alarm(office.due())

    await office.clock.advance("1h")

    tried = office.attempted_after(office.chat)
    assert tried[:5] == [0.0, 2.5, 7.5, 17.5, 37.5]
    assert tried[-1] - tried[-2] == 450.0  # half of the longest wait, as the jitter of this test has it
    assert [failed.wait for failed in office.listener.failed_deliveries[:2]] == [2.5 * SECOND, 5 * SECOND]


@pytest.mark.parametrize("jump", [-HOUR, -20_000 * DAY, HOUR], ids=["an hour back", "to 1972", "an hour ahead"])
async def test_setting_the_wall_clock_puts_no_retry_off_t01(office: Office, jump: timedelta) -> None:
    office.chat.fail(2)
    await office.alarm(office.due())

    office.clock.jump_wall(jump)
    await office.clock.advance("8s")

    assert office.chat.transitions == [DOWN]


async def test_setting_the_wall_clock_ahead_by_days_ends_no_alerts_day_t01(office: Office) -> None:
    office.chat.fail(3)
    await office.alarm(office.due())

    office.clock.jump_wall(3 * DAY)
    await office.clock.advance("60s")

    assert office.chat.transitions == [DOWN]
    assert office.mail.transitions == []


async def test_a_retry_is_due_as_meant_when_a_clock_that_was_wrong_is_put_right_t01(office: Office) -> None:
    office.clock.jump_wall(400 * DAY)
    office.chat.fail(1)
    await office.alarm(office.due())
    await office.clock.advance("1s")

    office.clock.jump_wall(-400 * DAY)
    await office.clock.advance("5s")

    assert office.chat.transitions == [DOWN]


async def test_the_receivers_retry_after_is_respected_n01(office: Office) -> None:
    office.chat.fail(1, cause="HTTP 429", after=120 * SECOND)
    await office.alarm(office.due())

    await office.clock.advance("119s")
    assert len(office.chat.attempts) == 1
    await office.clock.advance("2s")

    assert office.attempted_after(office.chat) == [0.0, 120.0]
    assert len(office.chat.delivered) == 1


async def test_after_a_day_an_alert_is_dead_and_the_other_channel_is_told(office: Office) -> None:
    office.chat.fail(cause="the chat is gone")
    due = office.due()
    await office.alarm(due)

    await office.clock.advance("23h")
    assert office.row(due).dead_at is None
    await office.clock.advance("49h")

    assert office.attempted_after(office.chat)[-1] == pytest.approx(DAY / SECOND, abs=1)
    assert office.row(due).dead_at == pytest.approx(due.expires_at, abs=SECOND)
    assert office.listener.failed_deliveries[-1].wait is None
    [note] = office.mail.delivered
    assert note.transition is Transition.UNDELIVERED
    assert note.facts.status is AlertStatus.FAILURE
    assert note.facts.message == "Webhook could not be told: Service is down (1 consecutive failures)"
    assert note.facts.detail == "Webhook (chat) did not take this alert: the chat is gone"


async def test_what_can_never_be_delivered_is_dead_at_once(office: Office) -> None:
    office.chat.fail(1, cause="HTTP 410", retry=False)
    due = office.due()

    await office.alarm(due)

    assert office.row(due).dead_at == office.clock.now()
    assert office.mail.transitions == [Transition.UNDELIVERED]
    await office.clock.advance("2d")
    assert len(office.chat.attempts) == 1


async def test_the_next_alert_of_the_incident_follows_when_one_is_dead(office: Office) -> None:
    office.chat.fail(1, retry=False)
    await office.alarm(office.due())

    await office.alarm(office.due(RECOVERED))

    assert office.chat.transitions == [RECOVERED]


async def test_a_note_that_cannot_be_delivered_either_makes_no_more_notes(office: Office) -> None:
    office.chat.fail(retry=False)
    office.mail.fail(retry=False)

    await office.alarm(office.due())
    await office.clock.advance("2d")

    assert [row.alert.transition for row in office.memory.outbox.values()] == [DOWN, Transition.UNDELIVERED]
    assert all(not row.is_open for row in office.memory.outbox.values())
    assert (len(office.chat.attempts), len(office.mail.attempts)) == (1, 1)


async def test_two_channels_that_cannot_be_told_are_each_told_of_the_other(office: Office) -> None:
    office.chat.fail(1, cause="the chat is gone", retry=False)
    office.mail.fail(1, cause="the mail is gone", retry=False)

    await office.alarm(office.due(), office.due(channel="mail"))

    assert [alert.facts.detail for alert in office.chat.delivered] == [
        "Email (mail) did not take this alert: the mail is gone"
    ]
    assert [alert.facts.detail for alert in office.mail.delivered] == [
        "Webhook (chat) did not take this alert: the chat is gone"
    ]


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("token=SECRET"), OSError("token=SECRET"), KeyError("SECRET"), ExceptionGroup("x", [OSError()])],
    ids=["ZeroDivisionError", "OSError", "KeyError", "a group"],
)
async def test_a_notifier_that_raises_anything_loses_nothing_and_tells_no_secret(
    office: Office, error: Exception
) -> None:
    office.chat.raise_next(error)
    await office.alarm(office.due())

    await office.clock.advance("5s")

    assert len(office.chat.delivered) == 1
    assert [failed.cause for failed in office.listener.failed_deliveries] == [
        f"the notifier itself failed ({type(error).__name__})"
    ]


class Grave(BaseException):
    """What no `except Exception` catches."""


@pytest.mark.parametrize("error", [Grave("SECRET"), asyncio.CancelledError()], ids=["grave", "cancelled"])
async def test_a_delivery_that_is_torn_away_is_made_again_when_its_lease_ends(
    office: Office, error: BaseException
) -> None:
    office.chat.raise_next(error)
    due = office.due()
    await office.alarm(due)

    await office.clock.advance("89s")
    assert len(office.chat.attempts) == 1
    await office.clock.advance("2s")

    assert office.chat.delivered == [due.alert]
    assert not any("SECRET" in text for text in office.listener.troubles)


async def test_an_alert_comes_back_under_the_same_id_when_its_worker_dies() -> None:
    office = Office()
    async with office.open():
        office.chat.hang()
        due = office.due()
        await office.alarm(due)
        assert office.row(due).lease_owner == "process-1"
    office.chat.heal()

    async with office.open():
        await office.clock.advance("1s")

    assert office.chat.attempts == [due.alert, due.alert]
    assert office.chat.delivered == [due.alert]


async def test_a_lease_of_another_worker_is_waited_for(office: Office) -> None:
    due = office.due()
    await office.memory.commit([a_change(due)], seq=1, at=office.clock.now())
    office.writer.start_at(1)
    await office.memory.claim({"chat": 1}, owner="another worker", at=office.clock.now(), lease=90 * SECOND)
    await office.alarm()  # wakes the dispatcher

    await office.clock.advance("89s")
    assert office.chat.attempts == []
    await office.clock.advance("60s")

    assert office.chat.delivered == [due.alert]


async def test_a_kill_between_sending_and_stamping_sends_the_same_alert_once_more_d02() -> None:
    office = Office()
    async with office.open():
        office.loses_stamps = True
        due = office.due()
        await office.alarm(due)
    office.loses_stamps = False

    async with office.open():
        await office.clock.advance("1h")

    assert office.chat.delivered == [due.alert, due.alert]


async def test_a_restart_goes_on_where_the_waits_had_got_to() -> None:
    office = Office()
    office.chat.fail(4)
    async with office.open():
        await office.alarm(office.due())
        await office.clock.advance("20s")
        assert office.attempted_after(office.chat) == [0.0, 2.5, 7.5, 17.5]

    async with office.open():
        await office.clock.advance("1m")

    assert office.attempted_after(office.chat) == [0.0, 2.5, 7.5, 17.5, 37.5]
    assert len(office.chat.delivered) == 1


async def test_alerts_of_a_channel_that_is_gone_wait_and_hold_up_nobody() -> None:
    office = Office()
    office.chat.fail()
    async with office.open():
        due = office.due()
        await office.alarm(due, office.due(channel="mail"))
    office.channels = office.channels[1:]
    attempts = len(office.chat.attempts)

    async with office.open():
        await office.alarm(office.due(RECOVERED, channel="mail"))
        await office.clock.advance("1h")

    assert office.mail.transitions == [DOWN, RECOVERED]
    assert len(office.chat.attempts) == attempts
    assert office.row(due).is_open


async def test_without_channels_nothing_happens() -> None:
    office = Office()
    office.channels = []
    async with office.open():
        await office.alarm()
        await office.clock.advance("1h")

    assert office.listener.troubles == []


async def test_a_ledger_that_cannot_be_read_for_a_while_is_asked_again(office: Office) -> None:
    due = office.due()
    await office.memory.commit([a_change(due)], seq=1, at=office.clock.now())
    office.writer.start_at(1)
    office.store.fail()
    await office.clock.advance("70s")  # the dispatcher looks after its longest nap
    assert office.chat.attempts == []

    office.store.heal()
    await office.clock.advance("2s")

    assert office.chat.delivered == [due.alert]


async def test_when_nothing_can_be_written_alerts_are_delivered_from_memory(office: Office) -> None:
    office.store.fail()
    due = office.due()
    await office.alarm(due)

    await office.clock.advance("5s")

    assert office.chat.delivered == [due.alert]
    assert office.memory.outbox == {}


async def test_what_was_delivered_from_memory_is_stamped_later_and_not_delivered_again(office: Office) -> None:
    office.store.fail()
    due = office.due()
    await office.alarm(due)
    await office.clock.advance("10m")

    office.store.heal()
    await office.clock.advance("1h")

    assert office.chat.attempts == [due.alert]
    assert not office.row(due).is_open


async def test_from_memory_it_is_tried_until_it_is_taken(office: Office) -> None:
    office.store.fail()
    office.chat.fail(5)
    due = office.due()
    await office.alarm(due)
    await office.clock.advance("10m")

    assert office.chat.delivered == [due.alert]
    office.store.heal()
    await office.clock.advance("1h")
    assert office.chat.delivered == [due.alert]
    assert office.row(due).attempts == 6


async def test_from_memory_too_a_recovery_never_overtakes_its_outage() -> None:
    async with Office(Deaf()).open() as office:
        office.store.fail()
        await office.alarm(office.due())
        await office.clock.advance("5s")
        await office.alarm(office.due(RECOVERED))
        await office.alarm(office.due(RECOVERED, incident="two"))
        await office.clock.advance("10s")
        assert [alert.incident_id for alert in office.chat.delivered] == ["two"]

        await office.clock.advance("1m")

        of_one = [alert.transition for alert in office.chat.delivered if alert.incident_id == "one"]
        assert of_one == [DOWN, RECOVERED]


async def test_a_storm_from_memory_is_no_storm_on_the_channel(office: Office) -> None:
    office.store.fail()
    office.chat.hang()
    for number in range(50):
        await office.alarm(office.due(incident=f"{number}"))

    await office.clock.advance("6s")

    assert len(office.chat.attempts) == AT_ONCE


async def test_what_waits_in_memory_for_its_next_try_takes_no_room_from_the_ledger(office: Office) -> None:
    office.store.fail()
    office.chat.fail(cause="busy", after=HOUR)
    for number in range(10):
        await office.alarm(office.due(incident=f"{number}"))
    await office.clock.advance("10s")
    office.store.heal()
    await office.clock.advance("10s")
    office.chat.heal()

    await office.alarm(office.due(incident="new"))

    assert [alert.incident_id for alert in office.chat.delivered] == ["new"]


async def test_a_stamp_that_cannot_be_written_is_no_reason_to_deliver_again(office: Office) -> None:
    async def stamps_take_longer_than_a_lease() -> None:
        _, writes = office.store.commits[-1]
        if any(isinstance(write, Attempt) for write in writes):
            await office.clock.sleep(200)

    office.store.delay = stamps_take_longer_than_a_lease
    due = office.due()
    await office.alarm(due)

    await office.clock.advance("199s")
    assert office.row(due).is_open
    await office.clock.advance("400s")

    assert office.chat.attempts == [due.alert]
    assert not office.row(due).is_open


async def test_what_is_under_way_at_a_stop_may_end_and_the_rest_goes_out_at_the_next_start() -> None:
    office = Office()
    async with office.open():
        office.chat.hang()
        due = office.due()
        await office.alarm(due, office.due(channel="mail"))
        stopping = asyncio.create_task(office.dispatcher.settle(5))
        await office.clock.advance("5s")
        assert stopping.done()
        assert office.row(due).is_open
        office.chat.heal()

    async with office.open():
        await office.clock.advance("1s")

    assert office.chat.delivered == [due.alert]
    assert len(office.mail.delivered) == 1


async def test_after_six_hours_of_outage_and_two_hundred_flaps_nothing_is_missing_n01(office: Office) -> None:
    office.mail.fail(cause="Connection refused")
    for flap in range(200):
        await office.alarm(office.due(incident=f"{flap}", channel="mail"))
        await office.clock.advance("54s")
        await office.alarm(office.due(RECOVERED, incident=f"{flap}", channel="mail"))
        await office.clock.advance("54s")
    assert office.mail.delivered == []

    office.mail.heal()
    await office.clock.advance("1h")

    told: dict[str, list[Transition]] = defaultdict(list)
    for alert in office.mail.delivered:
        told[alert.incident_id].append(alert.transition)
    assert told == {f"{flap}": [DOWN, RECOVERED] for flap in range(200)}

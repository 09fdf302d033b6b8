"""alerts_due(): one alert per channel, under ids that never change."""

from datetime import timedelta
from itertools import product

from laya_uptime.domain.alert import Transition
from laya_uptime.domain.routing import PATIENCE_WITH_CHANNELS, alerts_due, dedup_key, outbox_id
from laya_uptime.testing import NOON, an_alert_due, an_incident

FACTS = an_alert_due().alert.facts


def test_every_channel_hears_and_is_told_why() -> None:
    due = alerts_due(Transition.DOWN, an_incident(), facts=FACTS, channels=["chat", "mail"], at=NOON)

    assert [each.alert.channel_id for each in due] == ["chat", "mail"]
    assert due[0].decision == (
        "down of incident shop-20261125T120000000Z: Service is down (1 consecutive failures)",
        "no policy is written, so channel chat hears every transition",
    )
    assert {each.due_at for each in due} == {NOON}
    assert {each.expires_at for each in due} == {NOON + PATIENCE_WITH_CHANNELS}
    assert timedelta(hours=24) == PATIENCE_WITH_CHANNELS


def test_where_nothing_happened_nobody_hears() -> None:
    assert alerts_due(None, an_incident(), facts=FACTS, channels=["chat"], at=NOON) == ()
    assert alerts_due(Transition.DOWN, None, facts=FACTS, channels=["chat"], at=NOON) == ()
    assert alerts_due(Transition.DOWN, an_incident(), facts=None, channels=["chat"], at=NOON) == ()


def test_without_channels_nobody_hears() -> None:
    assert alerts_due(Transition.DOWN, an_incident(), facts=FACTS, channels=[], at=NOON) == ()


def test_the_id_of_an_alert_is_the_same_whoever_computes_it() -> None:
    # Written down: after an upgrade in the middle of a delivery the receiver must still know a duplicate.
    found = outbox_id("shop-20261125T120000000Z", Transition.DOWN, 0, "chat")

    assert found == "edd11d0ba585d549e94598fde333575a"


def test_no_two_decisions_share_an_id() -> None:
    parts = list(product(["shop-1", "shop-11", "shop"], Transition, [0, 1, 11], ["chat", "1chat", "mail"]))

    assert len({outbox_id(*part) for part in parts}) == len(parts)


def test_only_reminders_are_numbered() -> None:
    incident = an_incident()
    incidents = [incident, an_incident(failures=10)]

    for each in incidents:
        for transition in Transition:
            [due] = alerts_due(transition, each, facts=FACTS, channels=["chat"], at=NOON)
            assert due.alert.ordinal == (each.reminders if transition is Transition.REMINDER else 0)


def test_trigger_reminder_and_resolve_share_their_dedup_key_on_one_channel() -> None:
    keys = {
        due.alert.dedup_key
        for transition in (Transition.DOWN, Transition.REMINDER, Transition.RECOVERED)
        for due in alerts_due(transition, an_incident(), facts=FACTS, channels=["chat"], at=NOON)
    }

    assert keys == {"shop-20261125T120000000Z/chat"}
    assert dedup_key("one", "chat") != dedup_key("one", "mail")
    assert dedup_key("one", "chat") != dedup_key("two", "chat")

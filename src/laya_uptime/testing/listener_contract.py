"""What every listener and every watchdog promises: it is told things while checks run, so it never raises."""

from datetime import timedelta

from laya_uptime.domain.alert import Transition
from laya_uptime.domain.incident import Followed
from laya_uptime.domain.status import fresh
from laya_uptime.ports import Listener, Round, Watchdog
from laya_uptime.testing.builders import a_channel, a_monitor, a_result, an_alert_due, an_incident
from laya_uptime.testing.clock import NOON
from laya_uptime.testing.scripted import PROBES

HOSTILE = ("", "a\nb", "a\r\nb", "\x1b[31mred", "%s %d {0}", "\udcff", "x" * 100_000, "⚠ ünïcode 🚨")


class ListenerContract:
    """Inherit it, and supply a fixture `listener`."""

    def test_it_takes_every_outcome_of_a_round(self, listener: Listener) -> None:
        """With and without a transition."""
        for probe in PROBES:
            result = a_result(probe)
            for transition in (None, *Transition):
                incident = an_incident()
                followed = Followed(current=incident, closed=incident, transition=transition)
                listener.round_done(Round(monitor=a_monitor(), result=result, health=fresh(NOON), followed=followed))

    def test_it_takes_text_of_strangers(self, listener: Listener) -> None:
        """Line breaks, escapes, format signs, broken encodings, any length."""
        for text in HOSTILE:
            listener.trouble(text)
            listener.relief(text)
            listener.delivery_failed(a_channel(), an_alert_due().alert, text, wait=None)
            listener.resumed(a_monitor(name=text), an_incident())

    def test_it_takes_every_end_of_a_delivery(self, listener: Listener) -> None:
        """Delivered, tried again, given up."""
        listener.delivered(a_channel(), an_alert_due().alert)
        for wait in (None, timedelta(0), timedelta(seconds=5), timedelta(hours=24)):
            listener.delivery_failed(a_channel(), an_alert_due().alert, "Connection refused", wait=wait)

    def test_it_takes_the_end_of_a_slot(self, listener: Listener) -> None:
        """Also of a monitor that it never heard of."""
        listener.slot_over("nobody", NOON)


class WatchdogContract:
    """Inherit it, and supply a fixture `watchdog`."""

    def test_it_takes_every_word_in_any_order(self, watchdog: Watchdog) -> None:
        """Whether anybody listens or not."""
        for _ in range(3):
            watchdog.alive()
            watchdog.ready()
            watchdog.stopping()

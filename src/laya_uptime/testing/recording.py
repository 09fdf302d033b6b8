"""A notifier, a listener, an overseer and a watchdog that write down what they are told."""

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from laya_uptime.domain.alert import Alert, Transition
from laya_uptime.domain.incident import Incident
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.result import Result
from laya_uptime.errors import DeliveryError
from laya_uptime.ports import Channel, Reach, Round


class RecordingNotifier:
    """`ports.Notifier` that keeps what it is given, and can be told to fail or to hang.

    `attempts` holds every alert that was tried, `delivered` those that it took.
    """

    def __init__(self, address: str = "somebody") -> None:
        """Be known to people by this address."""
        self.attempts: list[Alert] = []
        self.attempted_at: list[datetime] = []
        self.delivered: list[Alert] = []
        self._address = address
        self._errors: deque[BaseException] = deque()
        self._always: BaseException | None = None
        self._hangs = False

    @property
    def address(self) -> str:
        """Return who is told."""
        return self._address

    @property
    def transitions(self) -> list[Transition]:
        """Return what it was told of, in order."""
        return [alert.transition for alert in self.delivered]

    def fail(
        self,
        times: int | None = None,
        *,
        cause: str = "the mail server is away",
        retry: bool = True,
        after: timedelta | None = None,
    ) -> None:
        """Refuse the next `times` alerts with a DeliveryError; None: all of them until `heal`."""
        error = DeliveryError(cause, retry=retry, after=after)
        if times is None:
            self._always = error
        else:
            self._errors.extend([error] * times)

    def raise_next(self, error: BaseException) -> None:
        """Raise this at the next alert, whatever it is."""
        self._errors.append(error)

    def hang(self) -> None:
        """Take no alert and refuse none until `heal`."""
        self._hangs = True

    def heal(self) -> None:
        """Take alerts again. An attempt that hangs already goes on hanging."""
        self._hangs = False
        self._always = None
        self._errors.clear()

    async def deliver(self, alert: Alert, via: Reach) -> None:
        """Do as told."""
        self.attempts.append(alert)
        self.attempted_at.append(via.clock.now())
        if self._hangs:
            await asyncio.get_running_loop().create_future()
        if self._errors:
            raise self._errors.popleft()
        if self._always is not None:
            raise self._always
        self.delivered.append(alert)


@dataclass(frozen=True, slots=True)
class FailedDelivery:
    """What a listener heard of an attempt that failed. `wait` None: it was given up."""

    channel_id: str
    alert: Alert
    cause: str
    wait: timedelta | None


class RecordingListener:
    """`ports.Listener` that keeps everything it hears, each kind in the order in which it came."""

    def __init__(self) -> None:
        """Have heard nothing."""
        self.resumptions: list[Incident] = []
        self.rounds: list[Round] = []
        self.slots: list[tuple[str, datetime]] = []
        self.deliveries: list[tuple[str, Alert]] = []
        self.failed_deliveries: list[FailedDelivery] = []
        self.troubles: list[str] = []
        self.reliefs: list[str] = []

    def resumed(self, monitor: Monitor, incident: Incident) -> None:
        """Keep the incident."""
        del monitor
        self.resumptions.append(incident)

    def round_done(self, round_: Round) -> None:
        """Keep the round."""
        self.rounds.append(round_)

    def slot_over(self, monitor_id: str, due: datetime) -> None:
        """Keep the slot."""
        self.slots.append((monitor_id, due))

    def delivered(self, channel: Channel, alert: Alert) -> None:
        """Keep the delivery."""
        self.deliveries.append((channel.id, alert))

    def delivery_failed(self, channel: Channel, alert: Alert, cause: str, *, wait: timedelta | None) -> None:
        """Keep the failure."""
        self.failed_deliveries.append(FailedDelivery(channel.id, alert, cause, wait))

    def trouble(self, text: str) -> None:
        """Keep the sentence."""
        self.troubles.append(text)

    def relief(self, text: str) -> None:
        """Keep the sentence."""
        self.reliefs.append(text)


class RecordingOverseer:
    """`ports.Overseer` that keeps everything it is handed, each kind in the order in which it came."""

    def __init__(self) -> None:
        """Have been handed nothing."""
        self.results: list[Result] = []
        self.slots: list[tuple[str, datetime]] = []
        self.troubles: list[str] = []
        self.reliefs: list[str] = []

    def seen(self, result: Result) -> None:
        """Keep the result."""
        self.results.append(result)

    def slot_over(self, monitor_id: str, due: datetime) -> None:
        """Keep the slot."""
        self.slots.append((monitor_id, due))

    def trouble(self, text: str) -> None:
        """Keep the sentence."""
        self.troubles.append(text)

    def relief(self, text: str) -> None:
        """Keep the sentence."""
        self.reliefs.append(text)


class RecordingWatchdog:
    """`ports.Watchdog` that counts."""

    def __init__(self) -> None:
        """Have been told nothing."""
        self.readies = 0
        self.feedings = 0
        self.stops = 0

    def ready(self) -> None:
        """Count it."""
        self.readies += 1

    def alive(self) -> None:
        """Count it."""
        self.feedings += 1

    def stopping(self) -> None:
        """Count it."""
        self.stops += 1

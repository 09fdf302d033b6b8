"""What the engine holds of one monitor between rounds."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from laya_uptime.domain.incident import Incident
from laya_uptime.domain.result import Result
from laya_uptime.domain.statistics import Tally
from laya_uptime.domain.status import Health


@dataclass(slots=True, kw_only=True)
class State:
    """The hot state of one monitor. Only the pipeline changes it."""

    health: Health
    seq: int = 0  # of the stored status, counting the writes that are still under way
    incident: Incident | None = None
    tally: Tally = field(default_factory=Tally)
    last: Result | None = None
    seen: timedelta  # when somebody last saw it, since the anchor, monotonic
    seen_at: datetime  # the same instant on the wall clock

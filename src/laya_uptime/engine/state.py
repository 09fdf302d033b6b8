"""What the engine holds of one monitor between rounds."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from laya_uptime.domain.incident import Incident
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.statistics import Tally
from laya_uptime.domain.status import Health


@dataclass(slots=True, kw_only=True)
class State:
    """The hot state of one monitor. Only the pipeline changes it.

    There is one for each monitor for as long as the process lives, so it keeps nothing of what was seen.
    """

    health: Health
    seq: int = 0  # of the stored status, counting the writes that are still under way
    incident: Incident | None = None
    tally: Tally = field(default_factory=Tally)
    is_new: bool = True  # there was no round yet since this start
    reason: Reason | None = None  # of the latest result
    seen: timedelta  # when somebody last saw it, since the anchor, monotonic
    seen_at: datetime  # the same instant on the wall clock

"""Look at monitors once, all at the same time, store nothing and tell nobody."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import Patience
from laya_uptime.domain.result import Result
from laya_uptime.domain.statistics import Tally
from laya_uptime.domain.status import Health, fresh, step
from laya_uptime.engine.prober import Prober
from laya_uptime.ports import Clock, Reach, Watched

_AT_ONCE = Patience(failures=1, passes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at one monitor. `health` believes it at once: there is no second look."""

    watched: Watched
    result: Result
    health: Health
    tally: Tally


async def look_once(
    watched: Sequence[Watched],
    *,
    via: Reach,
    clock: Clock,
    trouble: Callable[[str], None],
    seen: Callable[[Look], None] = lambda _look: None,
) -> list[Look]:
    """Return a look at each, in the order given; `seen` hears of each as it comes."""
    prober = Prober(via=via, clock=clock, trouble=trouble)

    async def one(each: Watched) -> Look:
        due = clock.now()
        observation = await prober.probe(each.monitor, each.check, due)
        verdict = judge(observation, each.monitor.rules)
        health = step(fresh(observation.at), verdict.outcome, at=observation.at, patience=_AT_ONCE)
        tally = Tally()
        tally.count(observation, verdict)
        result = Result(observation=observation, verdict=verdict)
        look = Look(watched=each, result=result, health=health, tally=tally)
        seen(look)
        return look

    return list(await asyncio.gather(*(one(each) for each in watched)))

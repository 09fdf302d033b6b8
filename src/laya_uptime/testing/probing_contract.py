"""What all probing promises, in this process or in others, held against real HTTP services on loopback.

    class TestLocal(ProbingContract):
        def check(self, url: str) -> Check:
            return HttpCheck(url=Secret(url))

        def make(self, watched: Sequence[Watched], overseer: Overseer) -> Probing:
            return LocalProbing(watched, overseer, via=..., clock=SystemClock())

The test that inherits it supplies a fixture `services` with the three of `testing.services`.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta

from laya_uptime.domain.assertion import parse
from laya_uptime.domain.monitor import Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Outcome, Result
from laya_uptime.domain.schedule import first_phase
from laya_uptime.ports import Check, Overseer, Probing, Watched
from laya_uptime.testing.builders import a_monitor, watched
from laya_uptime.testing.recording import RecordingOverseer
from laya_uptime.testing.services import REFUSES, Caller, Services, answers, is_silent, says

PATIENCE = 20.0  # seconds for what must come; only a failing test ever waits so long
_GLANCE = 0.01
_HOUR = timedelta(hours=1)


async def until(is_so: Callable[[], object]) -> None:
    """Wait until it is so. Raise TimeoutError where it does not get so."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110  nobody could set an event
            await asyncio.sleep(_GLANCE)  # noqa: TID251  the world, where time is real


@contextlib.asynccontextmanager
async def at_work(probing: Probing) -> AsyncIterator[None]:
    """Run it for as long as the block takes, then settle it."""
    run = asyncio.create_task(probing.run())
    try:
        yield
        await probing.settle(1.0)
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


class ProbingContract:
    """Inherit it, and supply `check`, `make` and a fixture `services`."""

    def check(self, url: str) -> Check:
        """Return a check of type http that asks this URL."""
        raise NotImplementedError

    def make(self, watched: Sequence[Watched], overseer: Overseer) -> Probing:
        """Return what is tested."""
        raise NotImplementedError

    def at(self, url: str, id_: str, *, every: timedelta = _HOUR, rules: Rules | None = None) -> Watched:
        """Return a monitor that looks at this URL; with an interval so long, only once and at once."""
        return watched(self.check(url), a_monitor(id_, every=every, timeout="5s", rules=rules))

    async def test_every_monitor_is_looked_at_at_once_and_judged(self, services: Services) -> None:
        """By its own rules, with the reason; and each result ends its slot."""
        services.put("ai-service", says("degraded"))
        services.put("parent-portal", REFUSES)
        rules = Rules(expect=(parse("status == 200"), parse('text contains "Add to basket"')))
        overseer = RecordingOverseer()
        probing = self.make(
            [
                self.at(services.url("gibbon-cms", "/health"), "good"),
                self.at(services.url("ai-service"), "degraded", rules=Rules(health_in_path=True)),
                self.at(services.url("parent-portal"), "refusing"),
                self.at(services.url("gibbon-cms"), "empty-shop", rules=rules),
            ],
            overseer,
        )

        async with at_work(probing):
            await until(lambda: len(overseer.results) == 4)

        found = {each.observation.monitor_id: each for each in overseer.results}
        assert {id_: (each.verdict.outcome, each.verdict.reason) for id_, each in found.items()} == {
            "good": (Outcome.UP, None),
            "degraded": (Outcome.DEGRADED, Reason.REPORTED_DEGRADED),
            "refusing": (Outcome.DOWN, Reason.REFUSED),
            "empty-shop": (Outcome.DOWN, Reason.ASSERTION),
        }
        assert [each.holds for each in found["empty-shop"].verdict.assertions] == [True, False]
        assert found["good"].observation.evidence.status == 200
        assert found["good"].observation.evidence.phases.connect is not None
        assert overseer.slots == []
        assert overseer.troubles == []

    async def test_bodies_and_private_headers_end_where_they_are_judged(self, services: Services) -> None:
        """What is handed over is what an alert may tell."""
        secret = "Set-Cookie: session=s3cret-canary\r\n"
        services.put("gibbon-cms", answers(500, "s3cret-canary " * 100, kind="text/plain", head=secret))
        overseer = RecordingOverseer()

        async with at_work(self.make([self.at(services.url("gibbon-cms"), "shop")], overseer)):
            await until(lambda: overseer.results)

        [result] = overseer.results
        assert result.observation.evidence.body is None
        assert ("content-type", "text/plain") in result.observation.evidence.headers
        assert "s3cret-canary" not in repr(result)

    async def test_a_monitor_that_has_long_been_good_is_handed_over_in_figures(self, services: Services) -> None:
        """And one that just was not, in full."""
        overseer = RecordingOverseer()
        one = self.at(services.url("gibbon-cms"), "shop", every=timedelta(milliseconds=50))

        async with at_work(self.make([one], overseer)):
            await until(lambda: len(overseer.results) > 6)
            services.put("gibbon-cms", says("down", status=503))
            await until(lambda: overseer.results[-1].verdict.outcome is Outcome.DOWN)

        assert overseer.results[0].observation.evidence.http_version is not None
        assert overseer.results[6].observation.evidence.http_version is None
        assert overseer.results[6].observation.evidence.status == 200
        assert next(
            each for each in overseer.results if each.verdict.outcome is Outcome.DOWN
        ).observation.evidence.headers

    async def test_monitors_come_go_and_change_while_it_runs(self, services: Services) -> None:
        """Nothing that was seen of the old target is handed over as news of the new one."""
        overseer = RecordingOverseer()
        quick = timedelta(milliseconds=100)
        probing = self.make([self.at(services.url("gibbon-cms"), "shop", every=quick)], overseer)

        async with at_work(probing):
            await until(lambda: overseer.results)
            probing.put(self.at(services.url("ai-service"), "desk", every=quick))
            await until(lambda: _of(overseer, "desk"))
            services.put("parent-portal", answers(404))
            probing.put(self.at(services.url("parent-portal"), "shop", every=quick))
            before = len(overseer.results)
            await until(lambda: _of(overseer, "shop", since=before))
            probing.remove("desk")
            gone = len(overseer.results)
            await until(lambda: len(_of(overseer, "shop", since=gone)) > 3)

        assert {each.observation.evidence.status for each in _of(overseer, "shop", since=before)} == {404}
        assert _of(overseer, "desk", since=gone) == []

    async def test_a_monitor_on_pause_is_not_looked_at(self, services: Services) -> None:
        """Until it is to be looked at again."""
        overseer = RecordingOverseer()
        quick = timedelta(milliseconds=100)
        monitors = [self.at(services.url(name), name, every=quick) for name in ("gibbon-cms", "ai-service")]
        probing = self.make(monitors, overseer)

        async with at_work(probing):
            await until(lambda: _of(overseer, "gibbon-cms"))
            probing.pause("gibbon-cms")
            await until(lambda: len(_of(overseer, "ai-service", since=len(overseer.results))) == 0)
            paused = len(overseer.results) + 5  # what was under way may still come
            await until(lambda: len(overseer.results) > paused + 5)
            while_paused = _of(overseer, "gibbon-cms", since=paused)
            probing.resume("gibbon-cms")
            resumed = len(overseer.results)
            await until(lambda: _of(overseer, "gibbon-cms", since=resumed))

        assert while_paused == []

    async def test_it_looks_sooner_where_that_is_asked_for(self, services: Services) -> None:
        """After a quarter of the interval, not on the phase."""
        every = timedelta(seconds=12)
        late = next(
            id_ for id_ in map("shop-{}".format, range(1000)) if first_phase(a_monitor(id_, every=every)) > every * 0.9
        )
        overseer = RecordingOverseer()
        probing = self.make([self.at(services.url("gibbon-cms"), late, every=every)], overseer)

        async with at_work(probing):
            await until(lambda: overseer.results)
            probing.sooner(late)
            await until(lambda: len(overseer.results) == 2)

        first, second = overseer.results
        assert second.observation.due - first.observation.due < every / 2

    async def test_settling_hands_over_what_is_under_way_and_begins_nothing(self, services: Services) -> None:
        """A check that answers in time counts."""

        async def is_slow(caller: Caller) -> None:
            await asyncio.sleep(0.3)  # noqa: TID251  likewise
            await answers(204)(caller)

        services.put("gibbon-cms", is_slow)
        overseer = RecordingOverseer()
        probing = self.make([self.at(services.url("gibbon-cms"), "shop", every=timedelta(milliseconds=100))], overseer)

        async with at_work(probing):
            await until(lambda: services.looks["gibbon-cms"])
            await probing.settle(3.0)
            seen = len(overseer.results)
            looks = len(services.looks["gibbon-cms"])

        assert seen == looks == 1
        assert overseer.results[0].observation.evidence.status == 204

    async def test_settling_waits_no_longer_than_it_was_told(self, services: Services) -> None:
        """A check that is cut short is no news, and its slot is over."""
        services.put("gibbon-cms", is_silent)
        overseer = RecordingOverseer()
        probing = self.make([self.at(services.url("gibbon-cms"), "shop")], overseer)

        async with at_work(probing):
            await until(lambda: services.looks["gibbon-cms"])
            began = time.monotonic()
            await probing.settle(1.0)

        assert time.monotonic() - began < 4.0  # the check's own deadline is five
        assert overseer.results == []
        assert [id_ for id_, _ in overseer.slots] == ["shop"]

    async def test_it_counts_what_it_begins(self, services: Services) -> None:
        """And says that it turns."""
        overseer = RecordingOverseer()
        probing = self.make([self.at(services.url("gibbon-cms"), f"shop-{place}") for place in range(7)], overseer)

        async with at_work(probing):
            await until(lambda: len(overseer.results) == 7)
            await until(lambda: probing.load.started == 7)

            assert probing.is_turning(within=timedelta(seconds=10))
            await until(lambda: probing.load.in_flight == probing.load.waiting == 0)


def _of(overseer: RecordingOverseer, id_: str, *, since: int = 0) -> list[Result]:
    return [each for each in overseer.results[since:] if each.observation.monitor_id == id_]

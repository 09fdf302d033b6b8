"""Keep a task running: one that fails is started again, a little later each time, and somebody is told."""

from collections.abc import Awaitable, Callable

from laya_uptime.ports import Clock, Listener

FIRST_WAIT = 1.0  # seconds
LONGEST_WAIT = 60.0
GOOD_AFTER = 300.0  # a task that ran this long has earned a quick restart again


async def supervise(name: str, task: Callable[[], Awaitable[None]], *, clock: Clock, listener: Listener) -> None:
    """Run the task until it returns or is cancelled; start it again whenever it fails."""
    wait = FIRST_WAIT
    while True:
        began = clock.monotonic()
        try:
            await task()
        except Exception as error:  # noqa: BLE001  whatever went wrong, the service goes on
            if clock.monotonic() - began > GOOD_AFTER:
                wait = FIRST_WAIT
            # The text of a foreign exception may hold a secret; its type never does.
            listener.trouble(f"{name} failed ({type(error).__name__}), starting it again in {wait:g} s")
            await clock.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)
        else:
            return

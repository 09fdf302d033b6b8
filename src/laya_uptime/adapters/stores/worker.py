"""One thread that owns one thing and does jobs on it, in order, one at a time.

SQLite may lose a commit when two connections write or checkpoint at the same instant (the WAL-reset bug of 3.7.0 to
3.51.2, fixed in 3.51.3 and 3.50.7), so exactly one connection writes, and it lives here. The thread is a daemon: a
disk that hangs for ever must not keep the process from ending.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar, cast

T = TypeVar("T")


class Worker:
    """A queue of jobs and the thread that does them."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], object], Future[object]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def do(self, job: Callable[[], T]) -> T:
        """Return what the job returns, or raise what it raises. Cancelling the wait does not undo a job."""
        future: Future[object] = Future()
        self._jobs.put((job, future))
        return cast("T", await asyncio.wrap_future(future))

    def stop(self) -> None:
        """Let the thread end after the jobs that are queued already."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, future = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001  whatever it is belongs to the one who waits for the job
                future.set_exception(error)

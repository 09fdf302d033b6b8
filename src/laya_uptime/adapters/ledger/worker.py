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
_Jobs = queue.SimpleQueue[tuple[Callable[[], object], Future[object]] | None]


class Worker:
    """A queue of jobs and the thread that does them. The thread begins with the first job."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: _Jobs | None = None

    async def do(self, job: Callable[[], T]) -> T:
        """Return what the job returns, or raise what it raises. Cancelling the wait does not undo a job."""
        if self._jobs is None:
            self._jobs = queue.SimpleQueue()
            threading.Thread(target=_work, args=(self._jobs,), name=self._name, daemon=True).start()
        future: Future[object] = Future()
        self._jobs.put((job, future))
        return cast("T", await asyncio.wrap_future(future))

    def stop(self) -> None:
        """Let the thread end after the jobs that are queued already. A later job begins a new one."""
        jobs, self._jobs = self._jobs, None
        if jobs is not None:
            jobs.put(None)


def _work(jobs: _Jobs) -> None:
    while (item := jobs.get()) is not None:
        job, future = item
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(job())
        except BaseException as error:  # noqa: BLE001  whatever it is belongs to the one who waits for the job
            future.set_exception(error)
        # What a job held (a connection, a batch) must not live on until the next one comes.
        del item, job, future

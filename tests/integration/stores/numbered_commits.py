"""A process that commits numbered changes and notes each number after `commit` has returned, until it is killed.

`python numbered_commits.py DIRECTORY COMMITS` goes on where the last one ended. `python numbered_commits.py` alone is
a nursery: it reads "DIRECTORY SECONDS" lines, each time forks such a process, kills it after that time and answers.

Commit N is a round of the shop (a result, its status, a span, an incident that opens or ends, an alert) together with
the record of how the delivery of alert N-1 ended, so that its effect on every table follows from N alone.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from laya_uptime.adapters.stores.sqlite import SqliteStore
from laya_uptime.domain.alert import Transition
from laya_uptime.domain.change import Attempt, Change, Span
from laya_uptime.domain.incident import Closing, close
from laya_uptime.domain.routing import DueAlert
from laya_uptime.domain.status import Status
from laya_uptime.ports import Write
from laya_uptime.testing.builders import a_result, an_alert_due, an_incident
from laya_uptime.testing.clock import NOON
from laya_uptime.testing.store_contract import SHOP, healthy, opened

ACKNOWLEDGED = "acknowledged"
_ENDLESS = 1_000_000


def alert(number: int) -> DueAlert:
    return an_alert_due("chat", incident=f"incident {number}")


def note(number: int) -> DueAlert:
    return an_alert_due("mail", Transition.UNDELIVERED, incident=f"incident {number}")


def writes(number: int) -> Sequence[Write]:
    at = NOON + timedelta(seconds=number)
    is_down = number % 2 == 1
    opened_at = at if is_down else at - timedelta(seconds=1)
    incident = an_incident(at=opened_at)
    status = Status.DOWN if is_down else Status.UP
    round_ = Change(
        monitor_id="shop",
        results=(a_result("x" if is_down else ".", SHOP, at=at),),
        health=healthy(status, streak=number, since=at),
        seq=number - 1,
        span=Span(outcome=status, started=at),
        incidents=(incident if is_down else close(incident, at=at, why=Closing.RECOVERED),),
        alerts=(alert(number),),
    )
    if number == 1:
        return [round_]
    before = alert(number - 1).alert.id
    if number % 2:
        return [round_, Attempt(alert_id=before, attempts=1, sent_at=at)]
    return [round_, Attempt(alert_id=before, attempts=1, dead_at=at, cause="refused", also=(note(number - 1),))]


async def commit(directory: Path, commits: int) -> None:
    store = SqliteStore(directory)
    memory = await opened(store)
    noted = os.open(directory / ACKNOWLEDGED, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(memory.seq + 1, memory.seq + 1 + commits):
        await store.claim({"chat": 1}, owner="a worker", at=NOON + timedelta(days=1), lease=timedelta(seconds=1))
        await store.commit(writes(number), seq=number, at=NOON + timedelta(seconds=number))
        os.write(noted, f"{number}\n".encode())
    await store.close()


def nursery() -> None:
    assert threading.active_count() == 1  # forking is for processes without threads
    for line in sys.stdin:
        directory, seconds = line.rsplit(" ", 1)
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(commit(Path(directory), _ENDLESS))
            finally:
                os._exit(1)
        time.sleep(float(seconds))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(status) else "ended by itself", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        nursery()
    else:
        asyncio.run(commit(Path(sys.argv[1]), int(sys.argv[2])))

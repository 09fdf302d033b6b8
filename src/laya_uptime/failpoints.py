"""Places where a test may stop the world. They do nothing unless a test names them.

`LAYA_UPTIME_FAILPOINTS="check.before_commit=kill@3,delivery.bytes_sent=sleep:0.5"` arms two points: the
third time the first one is passed the process kills itself; the second one waits half a second each time.
Actions: `kill` (SIGKILL), `term` (SIGTERM), `errno:ENOSPC` (raise that OSError), `sleep:SECONDS`.
`@N` means the Nth passage only; without it every passage acts. An unknown point or action is refused at start,
so a kill run can never be green because of a spelling mistake.
"""

import errno
import os
import signal
import threading
import time

POINTS = (
    "check.slot_claimed",
    "check.socket_open",
    "check.response_read",
    "check.before_begin",
    "check.after_result",
    "check.after_state",
    "check.after_incident",
    "check.after_outbox",
    "check.before_commit",
    "check.after_commit",
    "delivery.lease_taken",
    "delivery.before_connect",
    "delivery.body_half_sent",
    "delivery.bytes_sent",
    "delivery.response_read",
    "delivery.inside_stamp",
    "delivery.after_stamp",
    "delivery.retry_write",
    "heartbeat.parsed",
    "heartbeat.in_transaction",
    "heartbeat.committed",
    "heartbeat.replied",
)

VARIABLE = "LAYA_UPTIME_FAILPOINTS"


class _Armed:
    """One armed point: what it does, and at which passage."""

    def __init__(self, point: str, text: str) -> None:
        """Read `ACTION[:ARGUMENT][@N]`. Raise ValueError for what is not one."""
        what, at, nth = text.partition("@")
        self.action, _, argument = what.partition(":")
        self.passages = 0
        self.lock = threading.Lock()
        try:
            if point not in POINTS:
                raise ValueError("no such point")  # noqa: TRY301  all faults get the same frame below
            self.nth = _passage(nth) if at else None
            self._prepare(argument)
        except ValueError as error:
            points = ", ".join(POINTS)
            raise ValueError(f"{VARIABLE}: unknown failpoint {point}={text} ({error}). Points: {points}") from None

    def _prepare(self, argument: str) -> None:
        match self.action:
            case "kill" | "term" if not argument:
                pass
            case "errno":
                numbers = {name: number for number, name in errno.errorcode.items()}
                if argument not in numbers:
                    raise ValueError("no such errno")
                self.number = numbers[argument]
            case "sleep":
                self.seconds = float(argument)
                if not 0 <= self.seconds < threading.TIMEOUT_MAX:
                    raise ValueError("no time to sleep")
            case _:
                raise ValueError("no such action")

    def act(self) -> None:
        """Count this passage and act where it is the one."""
        with self.lock:
            self.passages += 1
            if self.nth is not None and self.passages != self.nth:
                return
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.action == "term":
            os.kill(os.getpid(), signal.SIGTERM)
        elif self.action == "sleep":
            time.sleep(self.seconds)  # the point is to stop the world, so it blocks on purpose
        else:
            raise OSError(self.number, os.strerror(self.number))


def _passage(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("passages count from 1")
    return number


def _read(text: str) -> dict[str, _Armed]:
    armed = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        point, _, action = part.partition("=")
        if point in armed:
            raise ValueError(f"{VARIABLE}: failpoint {point} is armed twice")
        armed[point] = _Armed(point, action)
    return armed


_ARMED = _read(os.environ.get(VARIABLE, ""))


def _pass_by(point: str, /) -> None:
    """Do nothing: the shape `fp` has outside tests."""


def _act(point: str, /) -> None:
    if (armed := _ARMED.get(point)) is not None:
        armed.act()


fp = _act if _ARMED else _pass_by

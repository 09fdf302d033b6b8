"""Run a monitoring plug-in of the Nagios kind and take its word: exit code, first line, performance data.

https://www.monitoring-plugins.org/doc/guidelines.html: 0 is fine, 1 a warning, 2 critical, 3 and all else unknown. What
a plug-in connects to is its own business: the egress policy does not reach into other programs.
"""

import asyncio
import math
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from laya_uptime.adapters import child
from laya_uptime.adapters.net.document import read_body
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Evidence, Failure, Outcome, ProgramReport, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.text import cut, one_line
from laya_uptime.ports import Check, Reach

_OUTCOMES = {0: Outcome.UP, 1: Outcome.DEGRADED, 2: Outcome.DOWN}
_LONGEST_LINE = 300  # characters of output that a sentence quotes
_LONGEST_FIGURES = 4096  # characters of performance data that are read
_LONGEST_NAME = 100
# label=value[unit];... where a label in quotes may hold anything, and '' in it is one quote.
_FIGURE = re.compile(r"(?:'((?:[^']|'')+)'|([^\s'=]+))=(-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?)\S*")


class ExecCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: exec`, and the probe they configure."""

    command: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)]
    environment: dict[str, Secret] = {}

    def __post_init__(self) -> None:
        """Raise ValueError with a plain sentence, and without any secret, where no program can be started with this."""
        if not self.command or not self.command[0].strip():
            raise ValueError("`command` is empty")
        if len(self.command) == 1 and " " in self.command[0]:
            raise ValueError("`command` must be a list of words, as in [check_load, -w, 5]: no shell reads it")
        if any("\0" in word for word in self.command):
            raise ValueError("`command` holds a NUL")
        child.check_environment(self.environment)

    @property
    def target(self) -> str:
        """Return the program without its arguments, which may hold secrets."""
        return f"exec:{one_line(self.command[0])}"

    def placed(self, directory: Path) -> Check:
        """Return this check with the program's path counted from that directory; a bare name is looked up in PATH."""
        program, *arguments = self.command
        if "/" not in program:
            return self
        return msgspec.structs.replace(self, command=[str(directory / program), *arguments])

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  it keeps what was seen until then
        """Run it once. An outage is returned, never raised; so is a passed deadline, which ends the whole group."""
        run = child.Child(self.command, variables=child.environment(self.environment), clock=via.clock)
        trail = ExchangeTrail(via.clock)
        trail.enter("wait")
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                code = await run.run()
        except TimeoutError:
            detail = f"the program did not end within {timeout.total_seconds():g} s"
            return Failure(Reason.TIMEOUT, detail, _evidence(trail, run, whole=False), phase="wait")
        except OSError as error:
            why = error.strerror or type(error).__name__
            return Failure(Reason.INTERNAL, f"the program cannot be started: {why}", _evidence(trail, run))
        return _judged(code, run, trail)


def _judged(code: int, run: child.Child, trail: ExchangeTrail) -> Seen:
    evidence = _evidence(trail, run)
    first, figures = _read(run.output)
    text = _quoted(first) or _quoted(_read(run.error)[0])
    if run.is_flood:
        return Failure(Reason.INTERNAL, "the program printed without end and was killed", evidence)
    if code < 0:
        return Failure(Reason.INTERNAL, f"the program was killed by {child.name_of(-code)}", evidence)
    if code == 3:
        return Failure(Reason.INTERNAL, text or "the program does not know", evidence)
    if code not in _OUTCOMES:
        said = f": {text}" if text else ""
        return Failure(Reason.INTERNAL, f"the program ended with code {code}, which means nothing{said}", evidence)
    report = ProgramReport(outcome=_OUTCOMES[code], text=text, figures=tuple(_figures(figures).items()))
    return Answer(replace(evidence, report=report))


def _evidence(trail: ExchangeTrail, run: child.Child, *, whole: bool = True) -> Evidence:
    trail.enter(None)
    return Evidence(phases=trail.phases, body=read_body(bytes(run.output), "", whole=whole) if run.output else None)


def _read(output: bytes | bytearray) -> tuple[str, str]:
    """Return the first line without its figures, and the figures: behind its bar, and behind the next bar of all below."""
    first, _, rest = output.decode("utf-8", "replace").partition("\n")
    text, _, figures = first.partition("|")
    return text, f"{figures} {rest.partition('|')[2]}"


def _figures(text: str) -> dict[str, float]:
    """Return performance data by label, without units. What is no finite number is left out."""
    found = {}
    for match in _FIGURE.finditer(text[:_LONGEST_FIGURES]):
        name = match[2] or match[1].replace("''", "'")
        value = float(match[3])
        if math.isfinite(value):
            found[one_line(name)[:_LONGEST_NAME]] = value
    return found


def _quoted(line: str) -> str:
    return cut(one_line(line[: 4 * _LONGEST_LINE]), _LONGEST_LINE)

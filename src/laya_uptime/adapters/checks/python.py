"""Call a Python function of the person's own, in a process of its own, and take its word.

Every call is a fresh interpreter, for functions with and without `async` alike: one that hangs, eats memory or crashes is
killed at its deadline with all it started and holds up nobody, and a changed file counts from the next check on. What
the function connects to is its own business: the egress policy does not reach into it.
"""

import ast
import asyncio
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal

import msgspec

from laya_uptime.adapters import child, function
from laya_uptime.adapters.net.document import read_body
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.health import HEALTH_TYPE
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Evidence, Failure, Outcome, ProgramReport, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.text import cut, one_line
from laya_uptime.ports import Check, Reach

GROUP = "laya_uptime.functions"
_IN_FILE = re.compile(r"(.+\.py):([A-Za-z_][A-Za-z0-9_]*)")
_LONGEST_LINE = 300  # characters of what the function says that a sentence quotes
_LARGEST_FILE = 1 << 20  # bytes


class PythonCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: python`, and the probe they configure."""

    call: str  # file.py:function, or a name that a package offers in the entry-point group laya_uptime.functions
    arguments: dict[str, Secret | bool | int | float] = {}
    environment: dict[str, Secret] = {}

    def __post_init__(self) -> None:
        """Raise ValueError with a plain sentence, and without any secret, where nothing can be called with this."""
        if not self.call.strip():
            raise ValueError("`call` is empty")
        child.check_environment(self.environment)
        for name in self.arguments:
            if not name.isidentifier():
                raise ValueError("`arguments` has a name that no parameter can have")
        if len(self._order()) > child.LARGEST_INPUT:
            raise ValueError("`arguments` are too long: more than 32 KiB")

    @property
    def target(self) -> str:
        """Return the function, without the directory of its file."""
        match = _IN_FILE.fullmatch(self.call)
        return f"python:{Path(match[1]).name}:{match[2]}" if match else f"python:{self.call}"

    def placed(self, directory: Path) -> Check:
        """Return this check with its file's path counted from that directory.

        Raise ValueError where neither a file with that function nor a package that offers it is there. Nothing is run.
        """
        match = _IN_FILE.fullmatch(self.call)
        if match is None:
            if not entry_points(group=GROUP, name=self.call):
                raise ValueError(f"`call` is neither file.py:function nor a name that a package offers: {self.call}")
            return self
        path = directory / match[1]
        if match[2] not in _names(path):
            raise ValueError(f"`call`: there is no function {match[2]} in {path}")
        return msgspec.structs.replace(self, call=f"{path}:{match[2]}")

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  it keeps what was seen until then
        """Call it once. An outage is returned, never raised; so is a passed deadline, which ends the whole group."""
        command = [sys.executable, "-I", "-B", function.__file__]
        run = child.Child(command, variables=child.environment(self.environment), clock=via.clock)
        trail = ExchangeTrail(via.clock)
        trail.enter("wait")
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                code = await run.run(self._order())
        except TimeoutError:
            detail = f"the function did not return within {timeout.total_seconds():g} s"
            return Failure(Reason.TIMEOUT, detail, _evidence(trail), phase="wait")
        except OSError as error:
            why = error.strerror or type(error).__name__
            return Failure(Reason.INTERNAL, f"Python cannot be started: {why}", _evidence(trail))
        return _judged(code, run, _evidence(trail))

    def _order(self) -> bytes:
        arguments = {
            name: value.reveal() if isinstance(value, Secret) else value for name, value in self.arguments.items()
        }
        match = _IN_FILE.fullmatch(self.call)
        order = {
            "path": [str(Path(entry).absolute()) for entry in sys.path],
            "file": match[1] if match else None,
            "name": match[2] if match else self.call,
            "group": GROUP,
            "arguments": arguments,
        }
        return msgspec.json.encode(order)


class _Said(msgspec.Struct):
    """What came back from the process; see `adapters.function`."""

    kind: Literal["report", "document", "assertion", "trouble"]
    outcome: Outcome = Outcome.UNKNOWN
    text: str = ""
    document: object = None


def _judged(code: int, run: child.Child, evidence: Evidence) -> Seen:
    if run.is_flood:
        return Failure(Reason.INTERNAL, "the function printed without end and was killed", evidence)
    if code < 0:
        return Failure(Reason.INTERNAL, f"the function's process was killed by {child.name_of(-code)}", evidence)
    try:
        said = msgspec.json.decode(bytes(run.output), type=_Said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        last = run.error.decode("utf-8", "replace").strip().rpartition("\n")[2]
        why = f": {_quoted(last)}" if last else ""
        return Failure(Reason.INTERNAL, f"the function's process ended without an answer{why}", evidence)
    text = _quoted(said.text)
    match said.kind:
        case "trouble":
            return Failure(Reason.INTERNAL, text, evidence)
        case "assertion":
            return Failure(Reason.ASSERTION, text, evidence)
        case "document":
            # As a health document by its type, so that a status word in it counts wherever health is not off.
            return Answer(replace(evidence, body=read_body(msgspec.json.encode(said.document), HEALTH_TYPE)))
        case "report" if said.outcome is Outcome.UNKNOWN:
            return Failure(Reason.INTERNAL, text or "the function does not know", evidence)
        case "report":
            return Answer(replace(evidence, report=ProgramReport(outcome=said.outcome, text=text)))


def _evidence(trail: ExchangeTrail) -> Evidence:
    trail.enter(None)
    return Evidence(phases=trail.phases)


def _quoted(text: str) -> str:
    return cut(one_line(text[: 4 * _LONGEST_LINE]), _LONGEST_LINE)


def _names(path: Path) -> set[str]:
    """Return what a file defines or imports at its top, without running it. Raise ValueError where it cannot be read."""
    try:
        with path.open("rb") as file:
            tree = ast.parse(file.read(_LARGEST_FILE))
    except OSError as error:
        raise ValueError(f"`call`: {path} cannot be read: {error.strerror or type(error).__name__}") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise ValueError(f"`call`: {path} is not Python{line}") from error
    return set(_bound(tree.body))


def _bound(statements: Iterable[ast.stmt]) -> Iterator[str]:
    for statement in statements:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (alias.asname or alias.name for alias in aliases)
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.If(body=body, orelse=others) | ast.Try(body=body, orelse=others):
                yield from _bound([*body, *others])
            case _:
                pass

"""The process in which one function of the person's own is called once. Run by path, as a script.

It reads an order from standard input (JSON: `path` for sys.path, `file` or null, `name`, `group`, `arguments`) and writes one
JSON object to standard output: `kind` report (`outcome`, `text`), document (`document`), assertion (`text`) or trouble
(`text`). What the function prints goes to standard error, so that it cannot be taken for the answer.
"""

import asyncio
import inspect
import json
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

_LARGEST = 60_000  # bytes of answer; the reader keeps no more than 64 KiB
_LONGEST_TEXT = 2_000  # characters

Said = dict[str, object]


class _Trouble(Exception):
    """The function cannot be called, or returned what means nothing."""


def _load(order: dict[str, Any]) -> Callable[..., object]:
    """Return the function. Raise whatever its module raises, or _Trouble."""
    if order["file"] is None:
        for point in entry_points(group=order["group"], name=order["name"]):
            return _callable(point.load(), order["name"])
        raise _Trouble(f"no package offers {order['name']}")
    file = Path(order["file"])
    sys.path.append(str(file.parent))
    name = f"laya_uptime_function_{file.stem}"  # a file called json.py shall not be everybody's json
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise _Trouble(f"{file.name} is no Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return _callable(getattr(module, order["name"], None), order["name"])


def _callable(found: object, name: str) -> Callable[..., object]:
    if not callable(found):
        raise _Trouble(f"{name} is no function")
    return found


def _call(function: Callable[..., object], arguments: dict[str, object]) -> object:
    """Return what the function returns, waiting for it where it is asynchronous."""
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise _Trouble(f"the arguments do not fit: {error}") from None
    result = function(**arguments)
    if inspect.isawaitable(result):
        return asyncio.run(_wait_for(result))
    return result


async def _wait_for(result: Awaitable[object]) -> object:
    return await result


def _meaning(result: object) -> Said:
    """Return what a result says. Raise _Trouble where it says nothing."""
    from laya_uptime.domain.result import Outcome  # noqa: PLC0415  sys.path comes with the order

    match result:
        case True:
            return _report(Outcome.UP)
        case False:
            return _report(Outcome.DOWN, "the function returned False")
        case Outcome():
            return _report(result)
        case (Outcome() as outcome, str(text)):
            return _report(outcome, text)
        case str(text):
            return _report(Outcome.DOWN, text or "the function returned an empty text")
        case dict():
            return {"kind": "document", "document": result}
        case None:
            raise _Trouble("the function returned nothing; let it return True or False")
        case _:
            raise _Trouble(f"the function returned something of type {type(result).__name__}, which means nothing")


def _report(outcome: str, text: str = "") -> Said:
    return {"kind": "report", "outcome": str(outcome), "text": text[:_LONGEST_TEXT]}


def _raised(error: BaseException) -> Said:
    """Return what an exception from the function says: why, and on which line."""
    text = f"{error}".strip()
    if isinstance(error, AssertionError):
        return {"kind": "assertion", "text": f"{text or 'an assertion failed'}{_where(error)}"[:_LONGEST_TEXT]}
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return _report("down", f"{said[: _LONGEST_TEXT // 2]}{_where(error)}")


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _answer(order: dict[str, Any]) -> Said:
    try:
        function = _load(order)
    except _Trouble as trouble:
        return {"kind": "trouble", "text": str(trouble)}
    except BaseException as error:  # noqa: BLE001  a module that cannot be loaded may raise anything
        said = f"{type(error).__name__}: {error}"[: _LONGEST_TEXT // 2]
        return {"kind": "trouble", "text": f"the function cannot be loaded: {said}{_where(error)}"}
    try:
        return _meaning(_call(function, order["arguments"]))
    except _Trouble as trouble:
        return {"kind": "trouble", "text": str(trouble)}
    except BaseException as error:  # noqa: BLE001  so may the function, SystemExit too
        return _raised(error)


def main() -> None:
    """Follow the order and be gone, whatever threads the function has left behind."""
    order = json.load(sys.stdin)
    answer = os.dup(1)
    os.dup2(2, 1)
    sys.path[:] = order["path"]
    try:
        data = json.dumps(_answer(order), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        data = json.dumps({"kind": "trouble", "text": f"the answer is no JSON: {error}"[:_LONGEST_TEXT]}).encode()
    if len(data) > _LARGEST:
        data = json.dumps({"kind": "trouble", "text": "the answer is too large: more than 60 kB"}).encode()
    while data:
        data = data[os.write(answer, data) :]
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

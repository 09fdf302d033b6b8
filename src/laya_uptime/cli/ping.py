"""`laya-uptime ping NAME`: tell the running service that a job has run, begun or failed."""

from typing import Annotated

from cyclopts import Parameter

from laya_uptime import bootstrap
from laya_uptime.cli import UNREACHABLE, USAGE, complain
from laya_uptime.domain.heartbeat import Kind
from laya_uptime.engine.control import Unreachable
from laya_uptime.errors import ConfigError, Problem

_NOT_KEPT = 1


def ping(
    name: str,
    *,
    start: Annotated[bool, Parameter(negative=())] = False,
    fail: Annotated[bool, Parameter(negative=())] = False,
    log: str | None = None,
    exit_code: int | None = None,
    message: str = "",
) -> int:
    """Tell the service on this machine that a job has run. Exit 3 when none runs, 1 when it could not keep the signal.

    Parameters
    ----------
    name
        The heartbeat's name or id.
    start
        The job begins.
    fail
        The job has failed.
    log
        A note, which changes nothing.
    exit_code
        How the job ended: 0 is a success, all else a failure. May stand beside --fail.
    message
        What the job has to say.

    """
    if start + fail + (log is not None) > 1 or (exit_code is not None and (start or log is not None)):
        raise ConfigError([Problem("ping", "a signal is one of --start, --fail and --log", "Call it once for each.")])
    kind = Kind.START if start else Kind.FAIL if fail else Kind.LOG if log is not None else Kind.SUCCESS
    try:
        reply = bootstrap.ping(name, kind, text="\n".join(filter(None, (log, message))), exit_code=exit_code)
    except Unreachable as error:
        complain(str(error))
        return UNREACHABLE
    if reply.problem:
        complain(reply.problem)
        return USAGE
    if not reply.kept:
        complain("the signal was heard, but could not be kept: the database cannot be written")
        return _NOT_KEPT
    return 0

"""`laya-uptime doctor`: whether this machine is fit to watch others, and whether the running service works."""

import json
from typing import Annotated

from cyclopts import Parameter

from laya_uptime import bootstrap

_SIGNS = {True: "✓", False: "✗", None: "▲"}


def doctor(
    *,
    live: Annotated[bool, Parameter(negative=())] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Examine the data directory, disk, clock, name resolution and SQLite, each with the fix. Exit 1 on a fault.

    Parameters
    ----------
    live
        Only ask whether the service that runs on this data directory gets its work done.
    as_json
        Print one JSON object.

    """
    findings = bootstrap.examine_live() if live else bootstrap.examine()
    if as_json:
        told = [{"name": each.name, "good": each.good, "what": each.what, "remedy": each.remedy} for each in findings]
        bootstrap.write(json.dumps(told, indent=2))
    else:
        for each in findings:
            remedy = f" {each.remedy}" if each.remedy and each.good is not True else ""
            bootstrap.write(f"{_SIGNS[each.good]} {each.name}: {each.what}{remedy}")
    return 1 if any(each.good is False for each in findings) else 0

"""`laya-uptime validate` and `laya-uptime schema`: the configuration file, checked and described."""

import json
import os
from typing import Annotated

from cyclopts import Parameter

from laya_uptime import bootstrap
from laya_uptime.cli import USAGE, complain
from laya_uptime.cli.draw import count
from laya_uptime.config.json_schema import json_schema
from laya_uptime.config.load import find_file, load
from laya_uptime.errors import ConfigError, Problem


def validate(
    file: str | None = None,
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Read a configuration file and name every problem in it, with line and column. Exit 2 when there is one.

    Parameters
    ----------
    file
        The file. Else LAYA_UPTIME_CONFIG, ./laya-uptime.yaml, the user's and the system's configuration directory.
    as_json
        Print one JSON object.

    """
    path = find_file(file, os.environ)
    if path is None:
        raise ConfigError(
            [Problem("configuration", "no configuration file was found", "Name one: laya-uptime validate FILE")]
        )
    try:
        configuration = load(path, environ=os.environ)
    except ConfigError as error:
        if not as_json:
            raise
        bootstrap.write(json.dumps({"file": str(path), "problems": [_told(each) for each in error.problems]}, indent=2))
        return USAGE
    warnings = configuration.warnings
    if as_json:
        told = {
            "file": str(path),
            "problems": [],
            "warnings": [_told(each) for each in warnings],
            "monitors": [each.monitor.id for each in configuration.monitors],
            "channels": [channel.id for channel in configuration.channels],
        }
        bootstrap.write(json.dumps(told, indent=2))
        return 0
    for warning in warnings:
        complain(f"warning: {warning}")
    counted = f"{count(len(configuration.monitors), 'monitor')}, {count(len(configuration.channels), 'channel')}"
    bootstrap.write(f"{path}: {counted}: no errors")
    return 0


def schema() -> int:
    """Print the JSON Schema of the configuration file, for editors."""
    bootstrap.write(json.dumps(json_schema(), indent=2))
    return 0


def _told(problem: Problem) -> dict[str, str]:
    return {"where": problem.where, "what": problem.what, "remedy": problem.remedy}

"""`laya-uptime serve` and `laya-uptime up`: the service on a configuration file."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from laya_uptime import bootstrap
from laya_uptime.cli import complain
from laya_uptime.cli.draw import count, phases
from laya_uptime.config.configuration import Configuration
from laya_uptime.config.load import decode, find_file, load
from laya_uptime.config.names import slug
from laya_uptime.domain.text import cut, one_line
from laya_uptime.domain.urls import parse_url, redact
from laya_uptime.errors import ConfigError, Problem
from laya_uptime.ports import Round

_LONGEST_NAME = 80
_MOST_SHARDS = 64

_NOTHING = Problem(
    "configuration",
    "there is nothing to watch: no configuration file was found",
    "Name URLs (laya-uptime up https://example.org/health), or write ./laya-uptime.yaml; see docs/reference/configuration.md",
)


def serve(
    *,
    config: Annotated[str | None, Parameter(name=["--config", "-c"])] = None,
    shards: str = "1",
) -> int:
    """Watch what a configuration file lists, until stopped.

    Up to 100 monitors every check has a log line, above that only one that says something else than the one before;
    log.checks in the file sets it.

    Parameters
    ----------
    config
        The file. Else LAYA_UPTIME_CONFIG, ./laya-uptime.yaml, the user's and the system's configuration directory.
    shards
        Processes that look at the monitors: a number, or auto for one per core where there is enough to do. 1: none
        beside this one.

    """
    return _run(_read(config, needed=True), title="laya-uptime serves", shards=shards, draws=False)


def up(
    *urls: str,
    config: Annotated[str | None, Parameter(name=["--config", "-c"])] = None,
    shards: str = "1",
) -> int:
    """Watch these URLs, and what the configuration file lists, in the foreground. The URLs are not remembered.

    Parameters
    ----------
    urls
        What to watch, e.g. https://example.org/health.
    config
        The file. Else LAYA_UPTIME_CONFIG, ./laya-uptime.yaml, the user's and the system's configuration directory.
    shards
        Processes that look at the monitors: a number, or auto for one per core where there is enough to do. 1: none
        beside this one.

    """
    configuration = _read(config, needed=not urls)
    if urls:
        configuration = _with_urls(configuration, urls)
    return _run(configuration, title="laya-uptime is up", shards=shards, draws=True)


def of_urls(urls: Sequence[str], **settings: object) -> Configuration:
    """Return the configuration that watches these URLs. Raise ConfigError naming each one that is not possible."""
    # JSON is a configuration too; a dollar sign in a URL is meant as it stands.
    entries = {name: {"url": url.replace("$", "$$"), **settings} for name, url in _named(urls).items()}
    try:
        return decode(json.dumps({"monitors": entries}), source="command line", environ={})
    except ConfigError as error:
        # Nobody typed the JSON, so its keys, lines and columns would only puzzle.
        raise ConfigError(
            [
                replace(problem, where="command line", what=problem.what.removeprefix("monitors."))
                for problem in error.problems
            ]
        ) from None


def _named(urls: Sequence[str]) -> dict[str, str]:
    """Return the URLs by the names that people will read, which hold no credentials and are no two the same."""
    named: dict[str, str] = {}
    taken: set[str] = set()
    for place, url in enumerate(urls, start=1):
        first = name = _name(url) or f"URL {place}"
        count = 1
        while (id_ := slug(name)) in taken:
            count += 1
            name = f"{first} ({count})"
        taken.add(id_)
        named[name] = url
    return named


def _name(url: str) -> str:
    """Return host and path; nothing where the URL cannot be read, for then nobody knows which part of it is secret."""
    try:
        shown = parse_url(url).redacted
    except ValueError:
        if url.lower().startswith(("http:", "https:")) or "://" not in url:
            return ""
        shown = redact(url)  # of another check, which reads it itself
    name = cut(one_line(shown.partition("://")[2].partition("?")[0]), _LONGEST_NAME)
    return name if slug(name) else ""


def _with_urls(configuration: Configuration | None, urls: Sequence[str]) -> Configuration:
    given = of_urls(list(dict.fromkeys(urls)))
    if configuration is None:
        return given
    taken = {each.monitor.id for each in configuration.monitors}
    new = tuple(each for each in given.monitors if each.monitor.id not in taken)
    return replace(configuration, monitors=(*configuration.monitors, *new))


def _read(config: str | None, *, needed: bool) -> Configuration | None:
    path = find_file(config, os.environ)
    if path is None:
        if needed:
            raise ConfigError([_NOTHING])
        return None
    return load(path, environ=os.environ)


def _processes(shards: str, configuration: Configuration) -> int:
    """Return how many processes shall look. Raise ConfigError where the flag says no number of them."""
    if shards == "auto":
        return bootstrap.shards_for(configuration.monitors)
    if shards.isascii() and shards.isdigit() and 1 <= int(shards[:4]) <= _MOST_SHARDS:
        return int(shards)
    what = f"{cut(one_line(shards), _LONGEST_NAME)!r} is no number of processes from 1 to {_MOST_SHARDS}"
    raise ConfigError([Problem("--shards", what, "Leave it out, or write --shards auto.")])


def _run(configuration: Configuration | None, *, title: str, shards: str, draws: bool) -> int:
    if configuration is None:
        raise ConfigError([_NOTHING])
    processes = _processes(shards, configuration)
    for warning in configuration.warnings:
        complain(f"warning: {warning}")
    log = configuration.log
    file = Path(log.file).expanduser().absolute() if log.file else None
    with (
        bootstrap.hold(bootstrap.data_directory()) as directory,
        bootstrap.log_to(file, as_json=log.format == "json", max_size=log.max_size, keep=log.keep),
    ):

        def draw(round_: Round) -> None:
            bootstrap.write_block(phases(round_.result))

        bootstrap.run(
            bootstrap.Plan(
                watched=configuration.monitors,
                channels=configuration.channels,
                policy=configuration.egress,
                zone=configuration.timezone,
                retention=configuration.retention,
                first_look=draw if draws else None,
                every_check=configuration.logs_every_check,
                shards=processes,
                listen=configuration.listen,
            ),
            directory=directory,
            banner=[
                f"{title}: {count(len(configuration.monitors), 'monitor')} from {configuration.source}",
                f"Alerts go to: {', '.join(channel.id for channel in configuration.channels) or 'nobody yet'}",
                f"Data: {directory}, log: {file or 'console only'}",
                f"Checks: a line for {'each' if configuration.logs_every_check else 'each that differs from the last'}",
                *([f"Probe processes: {processes}"] if processes > 1 else []),
            ],
            farewell="laya-uptime stopped",
        )
    return 0

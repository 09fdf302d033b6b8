"""The drop-in face's settings: SEED's variables and flags in, three monitors and their channels out.

Names and defaults are those of the table in the manual (reference, environment). A flag beats its variable, an empty
variable is as good as none, and every value that cannot be used is told at once, by the name of its variable or flag.
Secrets may come from a file that `NAME_FILE` names. No message shows a URL or a password.
"""

import re
from collections.abc import Mapping as Environ
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from laya_uptime import plugins
from laya_uptime.config.drop_in_channels import Channels
from laya_uptime.config.findings import Findings
from laya_uptime.config.parts import build
from laya_uptime.config.tree import Position
from laya_uptime.domain.health import path_names_health
from laya_uptime.domain.monitor import HealthMode, Monitor, Patience, Rules
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.urls import parse_url
from laya_uptime.ports import Channel, Check, Watched

LOG_FILE = "uptime_monitoring.log"
TIMEOUT = timedelta(seconds=10)
_LONGEST = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class _Service:
    """One of the three, and where its address comes from."""

    id: str
    name: str
    variable: str
    usual: str
    path: str


SERVICES = (
    _Service("ai-service", "AI Service", "AI_SERVICE_URL", "http://localhost:8000", "/api/v1/health/liveness"),
    _Service("gibbon-cms", "Gibbon CMS", "GIBBON_URL", "http://localhost:80", "/modules/System/health.php"),
    _Service("parent-portal", "Parent Portal", "PARENT_PORTAL_URL", "http://localhost:3000", "/api/health"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropIn:
    """Everything that the drop-in face was asked for. `log_file_given`: somebody named it, rather than nobody."""

    monitors: tuple[Watched, ...]
    channels: tuple[Channel, ...]
    every: timedelta
    log_file: str
    log_file_given: bool


def from_environment(
    environ: Environ[str, str],
    *,
    interval: int | str | None = None,
    email: str | None = None,
    webhook: str | None = None,
    log_file: str | None = None,
) -> DropIn:
    """Return what the variables and flags ask for. Raise ConfigError with every value that cannot be used.

    A flag that is None was not given. An empty `email` or `webhook` turns that channel off whatever its variable says.
    """
    findings = Findings()
    every = _every(environ, interval, findings)
    monitors = [_watched(service, environ, every, findings) for service in SERVICES]
    given = Channels(environ, findings)
    found = (given.email(email), given.webhook(webhook))
    named = (log_file or "").strip() or environ.get("LOG_FILE", "").strip()
    if re.search(r"[\x00-\x1f\x7f]", named):
        at = Position("--log-file" if log_file else "LOG_FILE")
        findings.problem(at, "the path holds a line break or another control character", "Remove it.")
    findings.raise_problems()
    return DropIn(
        monitors=tuple(watched for watched in monitors if watched is not None),
        channels=tuple(channel for channel in found if channel is not None),
        every=every,
        log_file=named or LOG_FILE,
        log_file_given=bool(named),
    )


def _every(environ: Environ[str, str], interval: int | str | None, findings: Findings) -> timedelta:
    """Return the interval: whole seconds from 1 up to a year."""
    flag = "" if interval is None else str(interval).strip(" \t")
    text = flag or environ.get("CHECK_INTERVAL", "").strip(" \t")
    if not text:
        return timedelta(seconds=60)
    most = int(_LONGEST.total_seconds())
    if re.fullmatch(r"[0-9]{1,12}", text) and 1 <= int(text) <= most:
        return timedelta(seconds=int(text))
    at = Position("--interval" if flag else "CHECK_INTERVAL")
    findings.problem(
        at,
        f"{text[:40]!r} is not a whole number of seconds from 1 to {most}",
        "Write the seconds alone, for example 60.",
    )
    return timedelta(seconds=60)


def _watched(service: _Service, environ: Environ[str, str], every: timedelta, findings: Findings) -> Watched | None:
    base = environ.get(service.variable, "").strip(" \t") or service.usual
    at = Position(service.variable)
    remedy = f"Write the address of {service.name} without its path, for example {service.usual}."
    try:
        path = parse_url(base).target.rstrip("/")
        if "?" in base or "#" in base:
            raise ValueError("a base URL has neither ? nor #")  # noqa: TRY301  it ends where all bad URLs end
        url = Secret(base.rstrip("/") + service.path)
        check = cast("Check", build(plugins.find("checks", "http"), {"url": url}))
    except ValueError as error:
        findings.problem(at, str(error), remedy)
        return None
    monitor = Monitor(
        id=service.id,
        name=service.name,
        target=check.target,
        every=every,
        timeout=TIMEOUT,
        patience=Patience(failures=1, passes=1),
        rules=Rules(health=HealthMode.REQUIRED, health_in_path=path_names_health(path + service.path)),
        remind_every=5,
        in_step=True,
    )
    return Watched(monitor=monitor, check=check, position=service.variable)

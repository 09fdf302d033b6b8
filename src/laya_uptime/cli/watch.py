"""`laya-uptime watch`: the drop-in face of LAYA's first script, by its flags and its environment variables."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from laya_uptime import bootstrap
from laya_uptime.config.environment import DropIn, from_environment
from laya_uptime.domain.result import Outcome

_GOOD = {Outcome.UP, Outcome.DEGRADED}


def watch(
    *,
    interval: str | None = None,
    email: str | None = None,
    webhook: str | None = None,
    log_file: str | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Watch the AI Service, Gibbon CMS and Parent Portal, and alert when one goes down.

    The services, and what no flag sets, come from the environment: AI_SERVICE_URL, GIBBON_URL, PARENT_PORTAL_URL,
    CHECK_INTERVAL, ALERT_EMAIL, ALERT_WEBHOOK, LOG_FILE, SMTP_SERVER, SMTP_PORT, SMTP_USER, SMTP_PASSWORD,
    ALERT_FROM_EMAIL. History is kept under LAYA_UPTIME_DATA.

    Parameters
    ----------
    interval
        Whole seconds between checks (CHECK_INTERVAL, 60).
    email
        Who is told by e-mail (ALERT_EMAIL).
    webhook
        Which URL is told; Slack, Discord and PagerDuty get their own format (ALERT_WEBHOOK).
    log_file
        Where the log is written beside the console (LOG_FILE, uptime_monitoring.log).
    dry_run
        Check each service once, report, and exit: no alerts, nothing stored. Exit 1 when one fails.

    """
    drop_in = from_environment(os.environ, interval=interval, email=email, webhook=webhook, log_file=log_file)
    if dry_run:
        return _dry_run(drop_in)
    log_file_path = Path(drop_in.log_file).absolute()
    with bootstrap.hold(bootstrap.data_directory() / "watch") as directory, bootstrap.log_to(log_file_path):
        bootstrap.run(
            bootstrap.Plan(watched=drop_in.monitors, channels=drop_in.channels, reports=True),
            directory=directory,
            banner=_banner(drop_in, directory, log_file_path),
            farewell="LAYA Uptime Monitoring stopped",
        )
    return 0


def _dry_run(drop_in: DropIn) -> int:
    # A dry run leaves nothing behind, unless somebody named the log file.
    with bootstrap.log_to(Path(drop_in.log_file).absolute() if drop_in.log_file_given else None):
        looks = bootstrap.dry_run(drop_in.monitors)
    return 0 if all(look.result.verdict.outcome in _GOOD for look in looks) else 1


def _banner(drop_in: DropIn, directory: Path, log_file: Path) -> list[str]:
    told = {channel.id: channel for channel in drop_in.channels}
    email, webhook = told.get("email"), told.get("webhook")
    return [
        "LAYA Uptime Monitoring started",
        f"Check interval: {drop_in.every.total_seconds():g} seconds",
        f"Monitoring {len(drop_in.monitors)} services:",
        *(f"  - {each.monitor.name}: {each.monitor.target}" for each in drop_in.monitors),
        f"Email alerts: {email.notifier.address if email else 'off'}",
        f"Webhook alerts: {f'{webhook.notifier.address} ({webhook.kind})' if webhook else 'off'}",
        f"Data: {directory}, log: {log_file}",
    ]

"""What every exchange with a target has in common, whatever is spoken: the authorities it trusts, and how it runs late."""

import ssl
from datetime import timedelta

from laya_uptime.adapters.net.faults import fault
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Evidence, Failure
from laya_uptime.ports import ClientCertificate, Reach


def trusted(
    via: Reach,
    trail: ExchangeTrail,
    *,
    ca_file: str | None,
    insecure: bool = False,
    speaks_http: bool = True,
    admits_weak: bool = False,
    client: ClientCertificate | None = None,
) -> ssl.SSLContext:
    """Return the TLS context with these options (`Reach.context`). Raise `Fault` where a file is of no use."""
    try:
        return via.context(
            ca_file=ca_file, insecure=insecure, speaks_http=speaks_http, admits_weak=admits_weak, client=client
        )
    except OSError as error:
        raise fault(Reason.INTERNAL, str(error), trail.evidence()) from error


def overdue(trail: ExchangeTrail, timeout: timedelta, evidence: Evidence) -> Failure:
    """Return the failure of an exchange that its deadline ended, with the step that was under way."""
    trail.enter(None)
    return Failure(Reason.TIMEOUT, f"no answer within {timeout.total_seconds():g} s", evidence, phase=trail.phase)

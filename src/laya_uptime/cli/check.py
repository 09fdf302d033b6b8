"""`laya-uptime check URL`: look once, and show everything that was seen."""

import json
from typing import Annotated

from cyclopts import Parameter

from laya_uptime import bootstrap
from laya_uptime.cli import complain
from laya_uptime.cli.draw import waterfall, wire
from laya_uptime.cli.serve import of_urls
from laya_uptime.domain.facts import evidence_of
from laya_uptime.domain.result import Outcome, Result
from laya_uptime.ports import Watched

_GOOD = {Outcome.UP, Outcome.DEGRADED}


def check(
    url: str,
    *,
    expect: Annotated[list[str] | None, Parameter(negative=())] = None,
    prefer: Annotated[list[str] | None, Parameter(negative=())] = None,
    health: str = "auto",
    timeout: str = "10s",
    http_version: str | None = None,
    trace: Annotated[bool, Parameter(negative=())] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Check a URL once: phases as bars, certificate, assertions, health components. Exit 1 when it is down.

    Parameters
    ----------
    url
        What to look at, e.g. https://example.org/health.
    expect
        What must hold, e.g. "status == 200". May be given several times.
    prefer
        What should hold, e.g. "latency < 500ms". May be given several times.
    health
        Whether the body must be a health document: required, auto or off.
    timeout
        For the whole check, e.g. 500ms or 10s.
    http_version
        What to speak with a web server: 1.1, 2 or 3. By default 1.1.
    trace
        Show what went over the wire too, without secrets.
    as_json
        Print one JSON object.

    """
    settings: dict[str, object] = {"health": health, "timeout": timeout}
    if http_version is not None:
        settings["http_version"] = http_version
    if expect:
        settings["expect"] = [_as_written(text) for text in expect]
    if prefer:
        settings["prefer"] = [_as_written(text) for text in prefer]
    configuration = of_urls([url], **settings)
    (watched,) = configuration.monitors
    if trace:
        look, lines = bootstrap.look_tracing(watched, policy=configuration.egress, trouble=complain)
    else:
        (look,) = bootstrap.look([watched], policy=configuration.egress, trouble=complain)
        lines = []
    if as_json:
        told = _told(look.watched, look.result)
        if trace:
            told["trace"] = [{"at_ms": line.at_ms, "kind": line.kind, "text": line.text} for line in lines]
        bootstrap.write(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        drawn = waterfall(look.watched.monitor, look.result)
        bootstrap.write(f"{drawn}\n{wire(lines)}" if trace else drawn)
    return 0 if look.result.verdict.outcome in _GOOD else 1


def _as_written(text: str) -> str:
    return text.replace("$", "$$")


def _told(watched: Watched, result: Result) -> dict[str, object]:
    verdict, observation = result.verdict, result.observation
    return {
        "url": watched.monitor.target,
        "outcome": verdict.outcome,
        "label": verdict.label,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "at": observation.at.isoformat(),
        "elapsed_ms": round(observation.elapsed.total_seconds() * 1000, 1),
        "components": [
            {"name": part.name, "status": part.word, "outcome": part.outcome, "message": part.message}
            for part in verdict.components
        ],
        "evidence": evidence_of(observation.evidence, verdict.assertions),
    }

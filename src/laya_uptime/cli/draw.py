"""How a check looks in a terminal: phases as bars, the certificate, components, assertions, redirects."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from laya_uptime.domain.certificates import key_words
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.result import Attempted, DnsFacts, Evidence, Outcome, PingFacts, ProgramReport, Result, TlsFacts
from laya_uptime.domain.text import cut, one_line
from laya_uptime.domain.trace import Kind, TraceLine

SIGNS = {Outcome.UP: "✓", Outcome.DEGRADED: "▲", Outcome.DOWN: "✗", Outcome.UNKNOWN: "?"}
_BAR = 40
_MOST_ANSWERS = 20  # of a name server
_ANSWER = 160
_MOST_SAID = 10  # lines of what a peer said
_LONGEST_SAID = 200
_MS = timedelta(milliseconds=1)
_MARKS = {Kind.SENT: ">", Kind.RECEIVED: "<", Kind.NOTE: "*"}


def headline(monitor: Monitor, result: Result) -> str:
    """Return one line: shape, name, outcome, code, time, and the cause where there is one."""
    verdict, observation = result.verdict, result.observation
    code = f" ({observation.evidence.status})" if observation.evidence.status is not None else ""
    took = f"{observation.elapsed / _MS:.0f} ms"
    cause = f": {one_line(verdict.detail)}" if verdict.detail and verdict.outcome is not Outcome.UP else ""
    word = verdict.label if verdict.outcome is Outcome.UP else str(verdict.outcome)
    return f"{SIGNS[verdict.outcome]} {one_line(monitor.name)}  {word}{code}  {took}{cause}"


def phases(result: Result) -> str:
    """Return one line with the time of each step."""
    steps = result.observation.evidence.phases.reached()
    return "  " + ("  ".join(f"{step} {took / _MS:.1f} ms" for step, took in steps) or "no step was finished")


def count(number: int, noun: str) -> str:
    """Return "1 monitor", "2 monitors"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def waterfall(monitor: Monitor, result: Result) -> str:
    """Return everything a check saw, drawn for a person."""
    evidence, verdict = result.observation.evidence, result.verdict
    lines = [headline(monitor, result), f"  {monitor.target}"]
    if verdict.reason is not None:
        lines.append(f"  reason: {verdict.reason}")
    lines += _dns(evidence.dns) if evidence.dns else []
    lines += _addresses(evidence)
    lines += _attempts(evidence.attempts)
    lines += [f"  redirect {hop.status}: {hop.url} -> {hop.location}" for hop in evidence.redirects]
    lines += _bars(evidence)
    lines += _echoes(evidence.ping) if evidence.ping else []
    lines += _reported(evidence.report) if evidence.report else []
    lines += _certificate(evidence.tls, result.observation.at) if evidence.tls else []
    lines += _said(evidence.said)
    lines += [
        f"  {SIGNS[part.outcome]} {part.name}: {part.word}{f', {part.message}' if part.message else ''}"
        for part in verdict.components
    ]
    lines += [
        f"  {'✓' if check.holds else '✗'} {check.text}   "
        f"{', '.join(f'{operand} = {value}' for operand, value in check.actual)}"
        for check in verdict.assertions
    ]
    return "\n".join(cut(one_line(line.strip()), 200) if index == 0 else line for index, line in enumerate(lines))


def wire(lines: Sequence[TraceLine]) -> str:
    """Return a trace, drawn for a person: milliseconds since the start, > for what was sent and < for what came."""
    if not lines:
        return "  nothing went over the wire"
    return "\n".join(
        f"{line.at_ms:9.1f} ms  {_MARKS.get(line.kind) or f'* {line.kind}:'} {line.text}" for line in lines
    )


def _dns(facts: DnsFacts) -> list[str]:
    marks = [word for word, is_so in (("authenticated", facts.authenticated), ("over TCP", facts.tcp)) if is_so]
    lines = [f"  {facts.rcode} from {facts.server} for {facts.name} {facts.record}"]
    lines[0] += f" ({', '.join(marks)})" if marks else ""
    lines += [f"  alias of {one_line(alias)}" for alias in facts.aliases]
    lines += [f"    {cut(one_line(answer), _ANSWER)}" for answer in facts.answers[:_MOST_ANSWERS]]
    if len(facts.answers) > _MOST_ANSWERS:
        lines.append(f"    and {len(facts.answers) - _MOST_ANSWERS} more")
    return lines


def _addresses(evidence: Evidence) -> list[str]:
    if evidence.address is None:
        return [f"  tried {', '.join(evidence.addresses)}"] if evidence.addresses else []
    others = [address for address in evidence.addresses if address != evidence.address]
    return [f"  connected to {evidence.address}" + (f" (also {', '.join(others)})" if others else "")]


def _attempts(attempts: Sequence[Attempted]) -> list[str]:
    """Return a line for each address that was tried in vain; the one that was not is named already."""
    return [f"  tried {each.address}: {each.cause}, {each.took / _MS:.1f} ms" for each in attempts if each.cause]


def _bars(evidence: Evidence) -> list[str]:
    steps = evidence.phases.reached()
    whole = sum((took for _, took in steps), timedelta(0)) or _MS
    lines, before = [], timedelta(0)
    for step, took in steps:
        start = round(_BAR * (before / whole))
        width = max(round(_BAR * (took / whole)), 1)
        lines.append(f"  {step:8}{took / _MS:9.1f} ms  {' ' * start}{'█' * min(width, _BAR - start + 1)}")
        before += took
    return lines


def _echoes(ping: PingFacts) -> list[str]:
    lines = [f"  echoes answered: {len(ping.rtts)} of {ping.sent}, {ping.loss:g} % lost"]
    if ping.rtt is not None:
        least, median, most = (rtt / _MS for rtt in (min(ping.rtts), ping.rtt, max(ping.rtts)))
        lines.append(f"  round trip {least:.2f} / {median:.2f} / {most:.2f} ms (least / median / most)")
    return lines


def _reported(report: ProgramReport) -> list[str]:
    lines = [f"  says: {cut(one_line(report.text), 200)}"] if report.text else []
    return [*lines, *(f"  {one_line(name)} = {value:g}" for name, value in report.figures)]


def _certificate(tls: TlsFacts, at: datetime) -> list[str]:
    lines = [f"  {tls.version} {tls.cipher}"] if tls.version else []
    if tls.fault:
        lines.append(f"  ✗ {one_line(tls.fault)}")
    for place, certificate in enumerate(tls.chain):
        left = (certificate.not_after - at).days
        head = "certificate" if place == 0 else "issued by"
        days = f"{left} days left" if left >= 0 else f"expired {-left} days ago"
        strength = ", ".join(filter(None, (key_words(certificate), certificate.digest)))
        lines.append(
            f"  {head}: {one_line(certificate.subject)}, until {certificate.not_after:%Y-%m-%d} ({days})"
            + (f", {strength}" if strength else "")
        )
    return lines


def _said(said: str) -> list[str]:
    lines = [one_line(line) for line in said.splitlines()]
    more = [f"  and {count(len(lines) - _MOST_SAID, 'line')} more"] if len(lines) > _MOST_SAID else []
    return [f"  said: {cut(line, _LONGEST_SAID)}" for line in lines[:_MOST_SAID] if line] + more

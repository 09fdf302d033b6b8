"""What an assertion can speak of: each operand by name, the sort of value it holds, and how to read it.

| operand | holds |
|---|---|
| `status` | the HTTP status code |
| `latency` | how long the whole check took |
| `phase.dns` `.connect` `.tls` `.send` `.wait` `.read` | how long one step of the last exchange took |
| `body.PATH` | a value of the JSON body: `body.db.items[0].state`, `body["a key"]`, `body.items[-1]` for the last |
| `jsonpath("$.x")` | an RFC 9535 query over the JSON body |
| `text`, `size` | the decoded body, and its bytes after decompression; without a body `text` is what the peer said |
| `header["Name"]` | a response header, whatever its case; several of one name are joined by ", " |
| `tls.expires_in` `.version` `.issuer` | time until the server's own certificate expires, "TLSv1.3", the issuer |
| `dns.rcode` `.answers` | what a name server said; absent where we asked none ourselves: an address, /etc/hosts, the system |
| `health.status`, `health.components["name"]` | words of the health document, compared in their normal form |
| `redirects`, `ip` | how many were followed, and the address that answered |
| `ping.loss`, `ping.rtt` | percent of the echoes that were not answered, and the median round trip of the others |
| `perf["name"]` | a figure that a program reported (Nagios performance data), without its unit |

Reading never raises. What was not there is `Absent`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum

from laya_uptime.domain import health
from laya_uptime.domain.result import Observation, Phases
from laya_uptime.domain.tokens import ExpressionError, Token
from laya_uptime.domain.values import ABSENT

Read = Callable[[Observation], object]


class Sort(Enum):
    """What sort of value an operand holds whenever it is present."""

    NUMBER = "a number"
    SIZE = "a number of bytes"
    DURATION = "a duration"
    TEXT = "text"
    WORD = "a status word"
    TEXTS = "a list of texts"
    JSON = "a JSON value"


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand of one expression."""

    text: str  # as written
    sort: Sort
    read: Read


def _status(observation: Observation) -> object:
    status = observation.seen.evidence.status
    return ABSENT if status is None else status


def _latency(observation: Observation) -> object:
    return observation.elapsed


def _phase(step: str) -> Read:
    def read(observation: Observation) -> object:
        took = getattr(observation.evidence.phases, step)
        return ABSENT if took is None else took

    return read


def _text(observation: Observation) -> object:
    body = observation.evidence.body
    if body is None:
        return observation.evidence.said or ABSENT
    return body.text


def _size(observation: Observation) -> object:
    body = observation.evidence.body
    return ABSENT if body is None else body.size


def _expires_in(observation: Observation) -> object:
    tls = observation.evidence.tls
    return ABSENT if tls is None or not tls.chain else tls.chain[0].not_after - observation.at


def _issuer(observation: Observation) -> object:
    tls = observation.evidence.tls
    return ABSENT if tls is None or not tls.chain else tls.chain[0].issuer


def _tls_version(observation: Observation) -> object:
    tls = observation.evidence.tls
    return ABSENT if tls is None or tls.version is None else tls.version


def _rcode(observation: Observation) -> object:
    facts = observation.evidence.dns
    return ABSENT if facts is None else facts.rcode


def _answers(observation: Observation) -> object:
    facts = observation.evidence.dns
    return ABSENT if facts is None else list(facts.answers)


def _redirects(observation: Observation) -> object:
    evidence = observation.evidence
    return ABSENT if evidence.status is None and not evidence.redirects else len(evidence.redirects)


def _ip(observation: Observation) -> object:
    address = observation.evidence.address
    return ABSENT if address is None else address


def _ping_loss(observation: Observation) -> object:
    ping = observation.evidence.ping
    return ABSENT if ping is None else ping.loss


def _ping_rtt(observation: Observation) -> object:
    ping = observation.evidence.ping
    return ABSENT if ping is None or ping.rtt is None else ping.rtt


def _health_status(observation: Observation) -> object:
    document = health.read(observation.evidence.body)
    return document.word if isinstance(document, health.HealthDocument) else ABSENT


_PLAIN: dict[str, tuple[Sort, Read]] = {
    "status": (Sort.NUMBER, _status),
    "latency": (Sort.DURATION, _latency),
    **{f"phase.{step}": (Sort.DURATION, _phase(step)) for step in Phases.__dataclass_fields__},
    "text": (Sort.TEXT, _text),
    "size": (Sort.SIZE, _size),
    "tls.expires_in": (Sort.DURATION, _expires_in),
    "tls.version": (Sort.TEXT, _tls_version),
    "tls.issuer": (Sort.TEXT, _issuer),
    "dns.rcode": (Sort.TEXT, _rcode),
    "dns.answers": (Sort.TEXTS, _answers),
    "health.status": (Sort.WORD, _health_status),
    "redirects": (Sort.NUMBER, _redirects),
    "ip": (Sort.TEXT, _ip),
    "ping.loss": (Sort.NUMBER, _ping_loss),
    "ping.rtt": (Sort.DURATION, _ping_rtt),
}
_WITH_ARGUMENT = ("body.PATH", 'jsonpath("$.x")', 'header["Name"]', 'health.components["name"]', 'perf["name"]')
KNOWN = f"Known: {', '.join((*_PLAIN, *_WITH_ARGUMENT))}."

# Names that other monitors use for the same things.
_ELSEWHERE = {
    "code": "status",
    "status_code": "status",
    "statuscode": "status",
    "http_status": "status",
    "response_time": "latency",
    "responsetime": "latency",
    "elapsed": "latency",
    "duration": "latency",
    "json": "body.PATH",
    "headers": 'header["Name"]',
    "certificate": "tls.expires_in",
    "cert": "tls.expires_in",
    "certificate_expiration": "tls.expires_in",
    "address": "ip",
    "content": "text",
    "length": "size",
    "loss": "ping.loss",
    "packet_loss": "ping.loss",
    "rtt": "ping.rtt",
}


def resolve(token: Token) -> Operand:
    """Return the operand that the token names. Raise ExpressionError where there is none."""
    match token.name, token.path:
        case "body", (_, *_):
            return Operand(token.text, Sort.JSON, _at(token.path))
        case "body", ():
            raise ExpressionError(
                "body needs a path", column=token.end, remedy="For example body.status; the whole body is text."
            )
        case "header", (str(name),) if token.text.endswith("]"):
            return Operand(token.text, Sort.TEXT, _header(name))
        case "header", _:
            raise ExpressionError(
                "header needs one name in brackets",
                column=token.column + len("header"),
                remedy='For example header["Content-Type"].',
            )
        case "health", ("components", str(name)) if token.text.endswith("]"):
            return Operand(token.text, Sort.WORD, _component(name))
        case "health", ("components", *_):
            raise ExpressionError(
                "health.components needs one name in brackets",
                column=token.column + len("health.components"),
                remedy='For example health.components["database"].',
            )
        case "perf", (str(name),) if token.text.endswith("]"):
            return Operand(token.text, Sort.NUMBER, _figure(name))
        case "perf", _:
            raise ExpressionError(
                "perf needs one name in brackets",
                column=token.column + len("perf"),
                remedy='For example perf["load1"].',
            )
        case _ if token.text in _PLAIN:
            return Operand(token.text, *_PLAIN[token.text])
        case _:
            raise ExpressionError(f"no operand is called {token.text!r}", column=token.column, remedy=_meant(token))


def query(text: str, value: Callable[[object], object]) -> Operand:
    """Return the operand of a compiled JSONPath query; `value` goes from the document to what it finds."""

    def read(observation: Observation) -> object:
        body = observation.evidence.body
        return ABSENT if body is None or not body.is_document else value(body.document)

    return Operand(text, Sort.JSON, read)


def _meant(token: Token) -> str:
    close = _ELSEWHERE.get(token.name.lower())
    if close is None:
        near = get_close_matches(token.text.lower(), _PLAIN, n=1) or get_close_matches(
            token.name.lower(), ("body", "jsonpath", "header", "health", "phase", "tls", "dns", "ping", "perf"), n=1
        )
        close = near[0] if near else None
    return f"Did you mean '{close}'? {KNOWN}" if close and close != token.text else KNOWN


def _at(path: tuple[str | int, ...]) -> Read:
    """Return a reader of the value at a path of keys and indexes; a negative index counts from the end."""

    def read(observation: Observation) -> object:
        body = observation.evidence.body
        if body is None or not body.is_document:
            return ABSENT
        value = body.document
        for step in path:
            value = _inside(value, step)
            if value is ABSENT:
                return ABSENT
        return value

    return read


def _inside(value: object, step: str | int) -> object:
    if type(value) is dict:
        return value.get(step, ABSENT) if type(step) is str else ABSENT
    if type(value) is list and type(step) is int and -len(value) <= step < len(value):
        return value[step]
    return ABSENT


def _header(name: str) -> Read:
    wanted = name.lower()

    def read(observation: Observation) -> object:
        values = [value for header, value in observation.evidence.headers if header.lower() == wanted]
        return ", ".join(values) if values else ABSENT

    return read


def _figure(name: str) -> Read:
    def read(observation: Observation) -> object:
        report = observation.evidence.report
        return ABSENT if report is None else dict(report.figures).get(name, ABSENT)

    return read


def _component(name: str) -> Read:
    def read(observation: Observation) -> object:
        document = health.read(observation.evidence.body)
        if isinstance(document, health.HealthDocument):
            for component in document.components:
                if component.name == name:
                    return health.normal(component.word)
        return ABSENT

    return read

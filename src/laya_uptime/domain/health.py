"""A health document: what a service says of itself, in the dialects that people really have.

A document is a JSON object with a status word, or a plain text that is nothing but a word we know.

| dialect | word | parts |
|---|---|---|
| LAYA, and most services | `status` | `checks: {name: {status, message}}` or `{name: "ok"}` |
| Spring Boot Actuator | `status`: UP, DOWN, OUT_OF_SERVICE | `components` (before 2.2 `details`), nested |
| IETF draft-inadarei-api-health-check-06 | `status`: pass, warn, fail | `checks: {"name:measure": [{status, output}]}` |
| MicroProfile Health 4.0 | `status`: UP, DOWN | `checks: [{name, status}]` |
| ASP.NET Core | `status`: Healthy, Degraded, Unhealthy | `results` or `entries`, `{status, description}` |

Documents come from strangers: at most 100 components are kept, nesting is followed eight levels down, and every text
is one short line.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from laya_uptime.domain.readable import escaped
from laya_uptime.domain.result import Body, Component, Outcome
from laya_uptime.domain.text import cut, one_line

HEALTH_TYPE = "application/health+json"


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_HEALTHY = _words(
    """healthy ok okay up pass passing passed alive live ready green running serving available operational success
    succeeded successful good fine normal active online started pong"""
)
_DEGRADED = _words(
    """degraded degrading degraded_performance partially_degraded warn warning warnings partial partial_outage
    minor_outage yellow amber orange impaired limited unstable at_risk"""
)
_UNHEALTHY = _words(
    """unhealthy not_healthy down fail failed failing failure error errored errors critical fatal not_ready notready
    unready not_ok nok ko bad not_alive not_live dead not_running not_serving out_of_service outofservice unavailable
    service_unavailable temporarily_unavailable offline stopped terminated crashed broken red outage major_outage
    disconnected unreachable panic emergency"""
)

_MOST_COMPONENTS = 100
_MOST_LOOKED_AT = 1000  # entries, and characters of a word: what turns out to be nothing costs time too
_DEEPEST = 8
_LONGEST_WORD = 40
_LONGEST_NAME = 80
_LONGEST_MESSAGE = 200
_PARTS = {key: key.capitalize() for key in ("checks", "components", "details", "results", "entries")}
_NESTED = ("components", "checks", "details")
_MESSAGES = {key: key.capitalize() for key in ("message", "description", "output", "error", "details")}
_GAPS = re.compile(r"[\s-]+")
_PATH = re.compile(
    r"(?:^|[/._-])(?:health|healthz|liveness|readiness|actuator|status)(?=$|[/._-])", re.ASCII | re.IGNORECASE
)
_HTML = ("<!doctype html", "<html")
_JSON_SORTS = {list: "list", str: "text", int: "number", float: "number", bool: "truth value", type(None): "null"}
_STATUS_SORTS = {
    list: "a list",
    dict: "an object",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthDocument:
    """What a service says of itself.

    `word` is in its normal form (lower case, spaces and hyphens as underscores), which is what words are compared in.
    `outcome` is up, degraded or down; a word we do not know counts as up, and `is_known` tells the difference.
    """

    word: str
    label: str  # the word as people see it: as written, in lower case, one short line
    outcome: Outcome
    is_known: bool
    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True)
class NoDocument:
    """There is no health document, and why, in a sentence without its full stop."""

    why: str


def path_names_health(path: str) -> bool:
    """Say whether the path of a URL names a health route: health, healthz, liveness, readiness, actuator or status.

    The word stands between `/`, `.`, `_`, `-` or an end, so `/healthcare` is none. Query and fragment do not count.
    """
    return _PATH.search(re.split(r"[?#]", path, maxsplit=1)[0]) is not None


def read(body: Body | None) -> HealthDocument | NoDocument:
    """Return the health document in the body, or why there is none. Never raises."""
    if body is None:
        return NoDocument("there is no body")
    if body.is_document:
        return _from_json(body.document)
    text = body.text.strip()
    if body.content_type in {"text/plain", ""} and 0 < len(text) <= _LONGEST_WORD and _is_known(normal(text)):
        return _document(text, ())
    return NoDocument(_why_none(body, text))


def normal(word: str) -> str:
    """Return the word in the form in which words are compared: "Not Ready" and "not-ready" are "not_ready"."""
    return _GAPS.sub("_", word.strip()).lower()


def outcome_of(word: str) -> Outcome:
    """Return what a word in its normal form says: up, degraded or down. A word we do not know says up."""
    if word in _UNHEALTHY:
        return Outcome.DOWN
    return Outcome.DEGRADED if word in _DEGRADED else Outcome.UP


@lru_cache(maxsize=1024)
def _read_word(written: str) -> tuple[str, str, Outcome, bool]:
    """Return a word's normal form, how people see it, what it says, and whether we know it.

    Kept, because services say the same few words again and again.
    """
    word = normal(written)
    shown = escaped(written.lower(), _LONGEST_WORD)
    return escaped(word, _LONGEST_WORD), shown, outcome_of(word), _is_known(word)


def _is_known(word: str) -> bool:
    return word in _HEALTHY or word in _DEGRADED or word in _UNHEALTHY


def _document(written: str, components: tuple[Component, ...]) -> HealthDocument:
    word, label, outcome, is_known = _read_word(written.strip()[:_MOST_LOOKED_AT])
    return HealthDocument(word=word, label=label, outcome=outcome, is_known=is_known, components=components)


def _from_json(document: object) -> HealthDocument | NoDocument:
    if type(document) is not dict:
        return NoDocument(f"body is a JSON {_JSON_SORTS.get(type(document), 'value')}, not an object")
    key = "status" if "status" in document else "Status"  # .NET serialisers capitalise
    if key not in document:
        return NoDocument("body has no status word")
    status = document[key]
    if type(status) is not str:
        return NoDocument(f"status is {_STATUS_SORTS.get(type(status), 'something else')}, not a word")
    if not status.strip():
        return NoDocument("status is an empty text, not a word")
    return _document(status, _components(document))


def _why_none(body: Body, text: str) -> str:
    if not text:
        return "body is empty"
    if body.content_type in {"text/html", "application/xhtml+xml"} or text[:15].lower().startswith(_HTML):
        return "body is HTML, not a health document"
    if body.fault and (fault := cut(one_line(body.fault[: 2 * _LONGEST_MESSAGE]), _LONGEST_MESSAGE)):
        return f"body is {fault}" if fault.startswith("not ") else fault
    if body.content_type in {"text/plain", ""}:
        return "body is plain text, not a health document"
    return f"body is {escaped(body.content_type, _LONGEST_NAME)}, not a health document"


def _components(document: dict[object, object]) -> tuple[Component, ...]:
    for key, capital in _PARTS.items():
        parts = document.get(key, document.get(capital))
        if parts is None:
            continue
        found: list[Component] = []
        for component in _walk(parts, words_alone=key != "details"):
            found.append(component)
            if len(found) == _MOST_COMPONENTS:
                break
        if found:
            return tuple(found)
    return ()


def _walk(parts: object, *, words_alone: bool) -> Iterator[Component]:
    """Yield the components in document order, each before those nested in it.

    `words_alone`: at the top, `"database": "ok"` is a component too. Deeper down, such texts are mere details.
    """
    levels: list[Iterator[tuple[str, object]]] = [_named(parts, "")]
    looked_at = 0
    while levels:
        following = next(levels[-1], None)
        if following is None:
            levels.pop()
            continue
        looked_at += 1
        if looked_at > _MOST_LOOKED_AT:
            return
        name, part = following
        component = _component(name, part, word_alone=words_alone and len(levels) == 1)
        if component is not None:
            yield component
        if type(part) is dict and len(levels) < _DEEPEST:
            for key in _NESTED:
                if type(part.get(key)) is dict:
                    levels.append(_named(part[key], name))
                    break


def _named(parts: object, above: str) -> Iterator[tuple[str, object]]:
    """Yield each part under the name that people know it by; nested ones as "db.primary"."""
    if type(parts) is dict:
        for key, part in parts.items():
            name = f"{above}.{_name(key)}" if above else _name(key)
            if type(part) is list:
                yield from _measured(name, part)
            else:
                yield name, part
    elif type(parts) is list:
        for part in parts:
            if type(part) is dict and type(part.get("name")) is str:
                yield _name(part["name"]), part


def _measured(name: str, parts: Iterable[object]) -> Iterator[tuple[str, object]]:
    """Yield the nodes of one IETF measure: by their componentId, else by their number, the first by the name alone."""
    for number, part in enumerate(parts, start=1):
        identity = part.get("componentId") if type(part) is dict else None
        if type(identity) is str and number > 1:
            yield f"{name} {_name(identity)}", part
        else:
            yield (name if number == 1 else f"{name} {number}"), part


def _name(key: object) -> str:
    return escaped(key, _LONGEST_NAME) if type(key) is str else "?"


def _component(name: str, part: object, *, word_alone: bool) -> Component | None:
    written: object
    if type(part) is str and word_alone and _is_known(normal(part[:_MOST_LOOKED_AT])):
        written, message = part, ""
    elif type(part) is dict:
        written, message = part.get("status", part.get("Status")), _message(part)
    else:
        return None
    if type(written) is not str or not written.strip():
        return None
    _, word, outcome, _ = _read_word(written.strip()[:_MOST_LOOKED_AT])
    return Component(name=cut(name, _LONGEST_NAME), word=word, outcome=outcome, message=message)


def _message(part: dict[object, object]) -> str:
    for key, capital in _MESSAGES.items():
        text = part.get(key, part.get(capital))
        if type(text) is str and (line := one_line(text.lstrip()[: 4 * _LONGEST_MESSAGE])):
            return cut(line, _LONGEST_MESSAGE)
    return ""

"""The words for what is wrong, so that the same mistake reads the same wherever it is made."""

import difflib
from collections.abc import Iterable
from itertools import islice

from laya_uptime.config.tree import Mapping, Node, Scalar, Sequence

_SHOWN = 60  # a value is quoted to be recognised, not to be read
_LISTED = 40  # names that one message tells
_COMPARED = 2000  # names among which a misspelt one is looked for; each costs time

# Words that people bring along from other monitors, and what they are called here.
_SYNONYMS = {
    "address": "url",
    "assertions": "expect",
    "checks": "monitors",
    "channels": "notify",
    "conditions": "expect",
    "endpoint": "url",
    "endpoints": "monitors",
    "failures": "confirm",
    "frequency": "every",
    "interval": "every",
    "kind": "type",
    "notifications": "notify",
    "notifiers": "notify",
    "period": "every",
    "recipients": "to",
    "reminder": "remind",
    "retries": "confirm",
    "sender": "from",
    "services": "monitors",
    "target": "url",
    "threshold": "confirm",
    "webhook_url": "webhook",
}


def quoted(text: str) -> str:
    """Return the text in quotes, on one line, cut where it is long."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def path_to(*keys: str) -> str:
    """Return keys joined by dots, e.g. "monitors.gibbon". A key that would not read well is quoted."""
    return ".".join(key if key.isprintable() and len(key) <= _SHOWN else quoted(key) for key in keys if key)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant, None where nothing comes close."""
    candidates = {name.casefold(): name for name in islice(known, _COMPARED)}
    candidates |= {
        synonym: name for synonym, name in _SYNONYMS.items() if name in candidates and synonym not in candidates
    }
    close = difflib.get_close_matches(word.casefold()[:_SHOWN], candidates, n=1, cutoff=0.65)
    return candidates[close[0]] if close else None


def listing(known: Iterable[str]) -> str:
    """Return the known words, sorted, separated by commas, and how many more there are where they are too many."""
    words = sorted(known)
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return (", ".join(words[:_LISTED]) or "nothing yet") + more


def unknown_key(key: str, path: str, known: Iterable[str]) -> tuple[str, str]:
    """Return what is wrong and the remedy for a key that means nothing here."""
    known = list(known)
    under = f"under {path}" if path else "at the top of the file"
    close = did_you_mean(key, known)
    hint = f"; did you mean {close!r}?" if close else ""
    return f"unknown key {quoted(key)} {under}{hint}", f"Known: {listing(known)}."


def unknown_name(noun: str, name: str, known: Iterable[str], *, shown: str | None = None) -> tuple[str, str]:
    """Return what is wrong and the remedy for a name that refers to nothing, e.g. "no check is called 'htpp'".

    `shown` stands for the name where the name itself came from outside the file and is not to be shown.
    """
    known = list(known)
    close = did_you_mean(name, known)
    hint = f"Did you mean {close!r}? " if close else ""
    return f"no {noun} is called {quoted(name if shown is None else shown)}", f"{hint}Known: {listing(known)}."


def one_of(words: Iterable[str]) -> str:
    """Return "a, b or c"."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def got(node: Node, *, hidden: bool = False) -> str:
    """Return what is there, in words. `hidden`: it may be a secret, so only its kind is told."""
    match node:
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case Scalar(value=None):
            return "nothing"
        case Scalar(value=bool() as truth):
            return "true or false" if hidden else str(truth).lower()
        case Scalar(value=int() | float() as number):
            return "a number" if hidden else f"the number {number}"
        case Scalar(value=value, shown=shown):
            if hidden or shown is None:
                return "text"
            return f"text {quoted(shown)}" if shown == value else f"text from {quoted(shown)}"


def mismatch(wanted: str, node: Node, *, hidden: bool = False) -> str:
    """Return "expected WANTED, got WHAT IS THERE"."""
    return f"expected {wanted}, got {got(node, hidden=hidden)}"


def about(path: str, what: str) -> str:
    """Return the sentence with the place in the configuration that it is about before it."""
    return f"{path}: {what}" if path else what

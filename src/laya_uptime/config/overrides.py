"""Let the environment speak over the file: `LAYA_UPTIME_<SECTION>_<KEY>`, for containers that share one file.

Single values of `site`, `log`, `egress` (a comma list), `store` and `defaults` may be given so, and the secrets of channels as
`LAYA_UPTIME_NOTIFY_<CHANNEL>_<KEY>` or, with `_FILE` behind it, as the path of a file that holds the secret. An empty
variable is as good as none. Values are data: `${...}` in them stays as it is.
"""

import re
from collections.abc import Iterator
from collections.abc import Mapping as Environ

import msgspec

from laya_uptime.config import explain, secrets
from laya_uptime.config.annotations import Annotation, arms, bare, item_of
from laya_uptime.config.findings import Findings
from laya_uptime.config.names import slug
from laya_uptime.config.parts import fields_of
from laya_uptime.config.schema import Sections
from laya_uptime.config.tree import Entry, Mapping, Node, Position, Scalar, Sequence
from laya_uptime.domain.secret import Secret
from laya_uptime.plugins import GUARDED

PREFIX = "LAYA_UPTIME_"

# Kubernetes gives every container such variables for every service, ours included.
_KUBERNETES = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_.*)?)")


def settings() -> dict[str, tuple[tuple[str, ...], Annotation]]:
    """Return each variable with the path of keys that it speaks over and what that takes."""
    found = {PREFIX + "_".join(path).upper(): (path, kind) for path, kind in _leaves(Sections, ())}
    # What the file may run is for the file alone to say.
    return {variable: leaf for variable, leaf in found.items() if leaf[0][0] not in GUARDED}


def _leaves(kind: type[msgspec.Struct], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Annotation]]:
    for key, field in fields_of(kind).items():
        below = (*path, key)
        inner, _ = bare(arms(field.type)[0])
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from _leaves(inner, below)
        else:
            yield below, arms(field.type)[0]


def apply(root: Mapping, environ: Environ[str, str], findings: Findings) -> Mapping:
    """Return the file's tree with what the environment says instead. Misspelt variables are warned of."""
    known = settings()
    for variable, (path, kind) in known.items():
        if (value := environ.get(variable, "")).strip():
            root = _put(root, path, _node(variable, value, kind), Position(variable))
    sections = tuple(f"{PREFIX}{key.upper()}_" for key in fields_of(Sections))
    for variable in sorted(environ):
        if variable.startswith(sections) and variable not in known and not _KUBERNETES.fullmatch(variable):
            close = explain.did_you_mean(variable, known)
            findings.warning(
                Position(variable), "this variable means nothing", f"Did you mean {close}?" if close else "Remove it."
            )
    return root


def apply_secrets(
    channel: Mapping, key: str, kind: type[msgspec.Struct], environ: Environ[str, str], findings: Findings
) -> Mapping:
    """Return a channel's tree with the secrets that the environment has for it. `key` is the channel's key in the file."""
    stem = f"{PREFIX}NOTIFY_{slug(key).replace('-', '_').upper()}_"
    for option, field in fields_of(kind).items():
        if bare(arms(field.type)[0])[0] is not Secret:
            continue
        found = secrets.from_variable(f"{stem}{option.upper()}", environ, findings)
        if found is not None:
            value, at = found
            secret = Scalar(value=value, at=at, filled=True, brought=(value,))
            channel = _put(channel, (option,), secret, at)
    return channel


def _node(variable: str, value: str, kind: Annotation) -> Node:
    """Return what the variable says as if it stood in the file: a comma list of texts, or one value."""
    at = Position(variable)
    item = item_of(kind)
    is_list = item is not None and bare(item)[0] is str  # an expression may hold commas of its own
    pieces = [piece.strip() for piece in (value.split(",") if is_list else [value])]
    scalars = tuple(Scalar(value=piece, at=at, shown=piece, filled=True, brought=(piece,)) for piece in pieces if piece)
    return Sequence(items=scalars, at=at) if is_list or not scalars else scalars[0]


def _put(mapping: Mapping, path: tuple[str, ...], value: Node, at: Position) -> Mapping:
    """Return the mapping with one value at the end of this path of keys."""
    key, *rest = path
    entry = mapping.entries.get(key)
    if rest:
        inner = entry.value if entry is not None else Mapping(at=at)
        if isinstance(inner, Scalar) and inner.value is None and not inner.broken:
            inner = Mapping(at=inner.at)
        if not isinstance(inner, Mapping):
            return mapping  # not what it must be; the decoder says so
        value = _put(inner, tuple(rest), value, at)
    return Mapping(
        at=mapping.at, entries={**mapping.entries, key: Entry(entry.key_at if entry and rest else at, value)}
    )

"""Put what must not stand in a file into its values: `${VAR}`, `${VAR:-default}`, `${file:/path}`, `${cred:name}`.

It works in every text value, never in keys. What comes in is data: it is not read as YAML again, so it may hold line
breaks, quotes and `${`. `$$` is one `$`; any other `$` stands for itself. An unset or empty variable is an error, because a
service that starts without its password fails later and elsewhere; `${VAR:-}` says that empty is meant.

`${cred:name}` reads a systemd credential (systemd.exec(5), LoadCredential=) from $CREDENTIALS_DIRECTORY.
"""

import re
from collections.abc import Mapping as Environ
from pathlib import Path

from msgspec import structs

from laya_uptime.config import explain
from laya_uptime.config.findings import Findings
from laya_uptime.config.tree import Entry, Mapping, Node, Position, Scalar, Sequence

MAX_BYTES = 1024 * 1024

_ASKED = re.compile(r"\$(?:\$|\{(?P<inside>[^}]*)(?P<end>\}?))")
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)
_CREDENTIAL = re.compile(r"[A-Za-z0-9_.@:+-]+")
_FORMS = "Write ${VAR}, ${VAR:-default}, ${file:/path} or ${cred:name}, or $$ for a plain dollar sign."


class _Missing(Exception):
    """A value that was asked for and is not to be had."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(what)


def fill(node: Node, environ: Environ[str, str], findings: Findings) -> Node:
    """Return the tree with every asked-for value in its place. What is missing is reported, and its value marked broken."""
    return _Filler(environ, findings).node(node)


def read_file(path: str) -> str:
    """Return the text of a secret's file without its last line break. Raise ValueError with the reason for people."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(f"the file {explain.quoted(path)} cannot be read: {cause}") from error
    if len(data) > MAX_BYTES:
        raise ValueError(f"the file {explain.quoted(path)} is larger than 1 MiB")
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError(f"the file {explain.quoted(path)} is empty")
    return text


def from_variable(name: str, environ: Environ[str, str], findings: Findings) -> tuple[str, Position] | None:
    """Return the value of a variable that may hold a secret, or of the file that NAME_FILE names, and where it came from.

    None: neither is set, or what is set cannot be used, which is then reported.
    """
    from_file = f"{name}_FILE"
    value, path = environ.get(name), environ.get(from_file)
    if not path:
        return (value, Position(name)) if value else None
    if value:
        findings.problem(Position(name), f"{name} and {from_file} are both set", "Set only one of them.")
        return None
    try:
        return read_file(path), Position(from_file)
    except ValueError as error:
        findings.problem(
            Position(from_file), str(error), "Give its path as this program sees it, and the right to read it."
        )
        return None


class _Filler:
    """Fills one tree. A value that aliases repeat is filled once and stays shared, what asks for nothing stays as it is."""

    def __init__(self, environ: Environ[str, str], findings: Findings) -> None:
        self._environ = environ
        self._findings = findings
        self._done: dict[int, Node] = {}

    def node(self, node: Node) -> Node:
        """Return the node with its values filled in; the very same one where nothing was asked for."""
        if (done := self._done.get(id(node))) is not None:
            return done
        filled: Node
        match node:
            case Mapping():
                filled = self._mapping(node)
            case Sequence():
                items = tuple(self.node(item) for item in node.items)
                is_same = all(new is old for new, old in zip(items, node.items, strict=True))
                filled = node if is_same else Sequence(items=items, at=node.at)
            case Scalar():
                filled = self._scalar(node)
        if filled is not node:
            self._done[id(node)] = filled
        return filled

    def _mapping(self, mapping: Mapping) -> Mapping:
        filled: dict[str, Entry] = {}
        for key, entry in mapping.entries.items():
            value = self.node(entry.value)
            if value is not entry.value:
                filled[key] = Entry(entry.key_at, value)
        return Mapping(at=mapping.at, entries=mapping.entries | filled) if filled else mapping

    def _scalar(self, scalar: Scalar) -> Scalar:
        text = scalar.value
        if not isinstance(text, str) or scalar.filled or "$" not in text:
            return scalar
        pieces: list[tuple[str, bool]] = []
        brought: list[str] = []
        begin, broken = 0, False
        for found in _ASKED.finditer(text):
            pieces.append((text[begin : found.start()], False))
            begin = found.end()
            if found["inside"] is None:
                pieces.append(("$", False))
                continue
            try:
                brought.append(self._value(found["inside"], closed=bool(found["end"])))
                pieces.append((brought[-1], True))
            except _Missing as missing:
                broken = True
                self._findings.problem(_place(scalar, found.start()), missing.what, missing.remedy)
        if begin == 0:
            return scalar
        pieces.append((text[begin:], False))
        value = "".join(piece for piece, _ in pieces)
        return structs.replace(
            scalar,
            value=value,
            shown=text if brought else value,
            filled=bool(brought),
            brought=tuple(brought),
            pieces=tuple(pieces),
            broken=broken,
            text_column=None,
        )

    def _value(self, inside: str, *, closed: bool) -> str:
        """Return what `${inside}` stands for."""
        if not closed:
            raise _Missing("a ${ without its }", _FORMS)
        kind, _, rest = inside.partition(":")
        if kind == "file" and not rest.startswith("-"):
            return self._file(rest)
        if kind == "cred" and not rest.startswith("-"):
            return self._credential(rest)
        match = _VARIABLE.fullmatch(inside)
        if match is None:
            raise _Missing(f"${{{inside[:40]}}} is not understood", _FORMS)
        name, default = match["name"], match["default"]
        value = self._environ.get(name, "")
        if value:
            return value
        if default is not None:
            return default
        state = "empty" if name in self._environ else "not set"
        raise _Missing(f"the variable {name} is {state}", f"Set it, or write ${{{name}:-}} where it may be empty.")

    def _file(self, path: str) -> str:
        if not path.startswith("/") and not Path(path).is_absolute():
            raise _Missing("${file:...} needs a full path", "Write ${file:/run/secrets/name}.")
        try:
            return read_file(path)
        except ValueError as error:
            raise _Missing(str(error), "Give its path as this program sees it, and the right to read it.") from error

    def _credential(self, name: str) -> str:
        if not _CREDENTIAL.fullmatch(name) or name in {".", ".."}:
            raise _Missing("${cred:...} needs the name of a credential", _FORMS)
        directory = self._environ.get("CREDENTIALS_DIRECTORY", "")
        if not directory:
            raise _Missing(
                f"there are no credentials, so {name} is missing",
                f"Run as a systemd service with LoadCredential={name}:/path, or use ${{file:/path}}.",
            )
        try:
            return read_file(str(Path(directory) / name))
        except ValueError as error:
            raise _Missing(str(error), f"Add LoadCredential={name}:/path to the unit.") from error


def _place(scalar: Scalar, offset: int) -> Position:
    """Return where in the file the character at this offset of the value stands, as exactly as it is known."""
    if scalar.text_column is None:
        return scalar.at
    return Position(scalar.at.source, scalar.at.line, scalar.text_column + offset)

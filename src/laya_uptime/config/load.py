"""Read a configuration file: all of it loads, or none of it and every mistake is told at once."""

import contextlib
import gc
import ipaddress
import os
import stat
from collections.abc import Iterator
from collections.abc import Mapping as Environ
from pathlib import Path

import msgspec
import platformdirs
from msgspec import UNSET

from laya_uptime.config import explain, overrides, secrets, yaml
from laya_uptime.config.channels import Channels
from laya_uptime.config.configuration import Configuration, LogSettings
from laya_uptime.config.decoder import Decoder, Refused
from laya_uptime.config.findings import Findings
from laya_uptime.config.layers import Layer
from laya_uptime.config.monitors import Monitors
from laya_uptime.config.parts import fields_of
from laya_uptime.config.schema import FREE_SECTIONS, Sections, Server, Settings
from laya_uptime.config.tree import Mapping, Node, Position, Scalar, Sequence
from laya_uptime.domain.egress import EgressPolicy
from laya_uptime.plugins import GUARDED

VARIABLE = "LAYA_UPTIME_CONFIG"


def find_file(explicit: str | os.PathLike[str] | None, environ: Environ[str, str]) -> Path | None:
    """Return the file to load, None where there is none.

    One that is named, by the caller or in LAYA_UPTIME_CONFIG, is it whether or not it exists. Else the first that exists of
    `./laya-uptime.yaml`, the user's configuration directory and `/etc/laya-uptime/config.yaml`.
    """
    named = explicit or environ.get(VARIABLE)
    if named:
        return Path(named)
    places = (
        Path("laya-uptime.yaml"),
        platformdirs.user_config_path("laya-uptime", appauthor=False) / "config.yaml",
        Path("/etc/laya-uptime/config.yaml"),
    )
    return next((place for place in places if place.exists()), None)


def load(path: str | os.PathLike[str], *, environ: Environ[str, str]) -> Configuration:
    """Return what the file asks for. Raise ConfigError with every problem in it, or with the reason it cannot be read."""
    source = os.fspath(path)
    findings = Findings()
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(yaml.MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        findings.problem(
            Position(source), f"the configuration cannot be read: {cause}", "Check the path and its rights."
        )
        raise findings.error() from error
    readable_by_all = os.name == "posix" and stat.S_ISREG(mode) and bool(mode & stat.S_IROTH)
    with _no_collections():
        return _Reading(source, environ, findings, readable_by_all=readable_by_all).of(data)


def decode(text: str | bytes, *, source: str, environ: Environ[str, str]) -> Configuration:
    """Return what the text of a file asks for. Raise ConfigError with every problem; `source` names it in positions."""
    with _no_collections():
        return _Reading(source, environ, Findings(), readable_by_all=False).of(text)


@contextlib.contextmanager
def _no_collections() -> Iterator[None]:
    """Look for no garbage meanwhile: there is none, and every look at a hundred thousand monitors takes long."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Reading:
    """One pass over one file."""

    def __init__(self, source: str, environ: Environ[str, str], findings: Findings, *, readable_by_all: bool) -> None:
        self._source = source
        self._environ = environ
        self._findings = findings
        self._readable_by_all = readable_by_all
        self._decoder = Decoder(findings)

    def of(self, data: str | bytes) -> Configuration:
        """Return the configuration, or raise ConfigError."""
        tree = yaml.parse(data, source=self._source, findings=self._findings)
        if tree is None:
            raise self._findings.error()
        filled = secrets.fill(tree, self._environ, self._findings)
        if not isinstance(filled, Mapping):
            what = f"the file must be a mapping, and is {explain.got(filled)}"
            self._findings.problem(filled.at, what, "Begin with monitors:.")
            raise self._findings.error()
        root = overrides.apply(filled, self._environ, self._findings)
        self._refuse_unknown_sections(root)
        sections = self._sections(root)
        egress = self._egress(root)
        listen = self._listen(root, sections)
        self._warn_of_the_monitors(root)
        monitors = tuple(self._monitors(root, sections).read(self._free(root, "monitors")))
        channels = tuple(Channels(self._decoder, self._findings, self._environ).read(self._free(root, "notify")))
        self._warn_of_the_file()
        self._findings.raise_problems()
        log = sections.log
        return Configuration(
            source=self._source,
            site_name=sections.site.name,
            timezone=sections.site.timezone,
            monitors=monitors,
            channels=channels,
            egress=egress,
            log=LogSettings(
                file=log.file,
                format=log.format,
                max_size=log.max_size,
                keep=log.keep,
                checks=None if log.checks is UNSET else log.checks,
            ),
            retention=sections.store.retention.results,
            listen=listen,
            warnings=self._findings.warnings(),
        )

    def _refuse_unknown_sections(self, root: Mapping) -> None:
        known = [*fields_of(Sections), *FREE_SECTIONS]
        for key, entry in root.entries.items():
            if key not in known:
                self._findings.problem(entry.key_at, *explain.unknown_key(key, "", known))

    def _sections(self, root: Mapping) -> Sections:
        """Return the sections with fixed keys. One with a mistake, which is reported, is as if it were not there."""
        found: dict[str, object] = {}
        for key, field in fields_of(Sections).items():
            node = root.get(key)
            if node is None or _is_nothing(node):
                continue
            try:
                found[field.name] = self._decoder.value(node, field.type, key, key)
            except Refused:
                continue
        return msgspec.structs.replace(Sections(), **found)

    def _free(self, root: Mapping, key: str) -> Mapping:
        """Return a section whose keys are people's own names; an empty one where it is not written."""
        node = root.get(key)
        if node is None or _is_nothing(node):
            return Mapping(at=root.where(key))
        try:
            return self._decoder.mapping(node, key)
        except Refused:
            return Mapping(at=node.at)

    def _monitors(self, root: Mapping, sections: Sections) -> Monitors:
        groups: dict[str, Layer | None] = {}
        for key, entry in self._free(root, "groups").entries.items():
            path = explain.path_to("groups", key)
            try:
                empty = Mapping(at=entry.key_at)
                mapping = empty if _is_nothing(entry.value) else self._decoder.mapping(entry.value, path)
                groups[key] = Layer(self._decoder.struct(mapping, Settings, path), mapping, path)
            except Refused:
                groups[key] = None
        node: Node | None = root.get("defaults")
        defaults = Layer(sections.defaults, node if isinstance(node, Mapping) else Mapping(at=root.at), "defaults")
        return Monitors(
            self._decoder,
            self._findings,
            defaults=defaults,
            groups=groups,
            allowed=frozenset(name for name in GUARDED if getattr(sections, name).allow),
            directory=Path(self._source).absolute().parent,
        )

    def _egress(self, root: Mapping) -> EgressPolicy:
        """Return the policy. Each entry is read on its own, so that each mistake has its own place."""
        section = root.get("egress")
        node = section.get("allow") if isinstance(section, Mapping) else None
        entries = node.items if isinstance(node, Sequence) else [node]
        texts: list[str] = []
        for entry in entries:
            if not isinstance(entry, Scalar) or not isinstance(entry.value, str) or entry.broken:
                continue  # reading the section reports it
            try:
                EgressPolicy.parse([entry.value])
            except ValueError as error:
                what = str(error) if entry.shown == entry.value else "this is no IP address and no network"
                self._findings.problem(entry.at, f"egress.allow: {what}", "Write an address or a network.")
            else:
                texts.append(entry.value)
        return EgressPolicy.parse(texts)

    def _listen(self, root: Mapping, sections: Sections) -> tuple[str, int]:
        """Return the address and port on which to listen; the usual ones after reporting that these cannot be used."""
        try:
            return _address(sections.server.listen)
        except ValueError as error:
            section = root.get("server")
            node = section.get("listen") if isinstance(section, Mapping) else None
            at = root.where("server") if node is None else node.at
            self._findings.problem(
                at, f"server.listen: {error}", "Write an IP address and a port, e.g. 127.0.0.1:8484."
            )
            return _address(Server().listen)

    def _warn_of_the_monitors(self, root: Mapping) -> None:
        if not self._free(root, "monitors").entries:
            self._findings.warning(
                root.where("monitors"), "nothing is watched yet", "Write a name and a URL under monitors:."
            )

    def _warn_of_the_file(self) -> None:
        if self._readable_by_all and self._decoder.literal_secrets:
            self._findings.warning(
                Position(self._source),
                "everybody on this machine can read this file, and it holds a secret",
                f"Run: chmod o-r {explain.quoted(self._source)}",
            )


def _address(text: str) -> tuple[str, int]:
    """Return address and port; port 0 stands for any that is free. Raise ValueError where it is none."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port[:6]) > 65535 or len(port) > 5:
        raise ValueError("it must be an IP address and a port from 1 to 65535")
    inner = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ipaddress.ip_address(inner)
    except ValueError:
        raise ValueError("it must be an IP address and a port from 1 to 65535") from None
    if (address.version == 6) is (inner == host):
        raise ValueError("an IPv6 address, and only that, stands in brackets before its port")
    return str(address), int(port)


def _is_nothing(node: Node) -> bool:
    """Say whether a section is there without anything in it, as when all its lines are comments."""
    return isinstance(node, Scalar) and node.value is None and not node.broken

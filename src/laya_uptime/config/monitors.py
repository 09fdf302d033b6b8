"""From what is written under `monitors` to the monitors and their checks.

A plain text is a target, and the scheme of a target picks its check. What a monitor does not say comes from its group,
then from `defaults`, then from the program.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from laya_uptime import plugins
from laya_uptime.config import explain
from laya_uptime.config.decoder import Decoder, Refused
from laya_uptime.config.findings import Findings
from laya_uptime.config.layers import Layer, compare_times, reminders_only, settle
from laya_uptime.config.members import Members
from laya_uptime.config.names import Names
from laya_uptime.config.parts import fields_of, option_keys, part_class
from laya_uptime.config.schema import MonitorKeys
from laya_uptime.config.tree import Entry, Mapping, Node, Scalar
from laya_uptime.domain.health import path_names_health
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.urls import redact
from laya_uptime.ports import Check, Listening, Placed, RollingUp, Unprobed, Watched, is_unprobed

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_USUAL = Monitor(id="", name="", target="")
_EXAMPLE = "Write its URL, for example https://example.org/health."


class Monitors:
    """Reads every monitor of one file. What is wrong goes to the findings; a monitor with a mistake is left out."""

    def __init__(
        self,
        decoder: Decoder,
        findings: Findings,
        *,
        defaults: Layer,
        groups: dict[str, Layer | None],
        allowed: frozenset[str],
        directory: Path,
    ) -> None:
        """Take the layers below the monitors. A group that is None has a mistake of its own, already reported.

        `allowed`: guarded checks that the file may use. `directory`: where relative paths count from.
        """
        self._decoder = decoder
        self._findings = findings
        self._defaults = defaults
        self._groups = groups
        self._allowed = allowed
        self._directory = directory

    def read(self, section: Mapping) -> Iterator[Watched]:
        """Yield the monitors that can be used, in the order in which they are written.

        The section is emptied on the way, so that many monitors need no room beside the tree that they are made from.
        """
        names = Names("monitors", self._findings)
        written = list(section.entries)
        members = Members(written, self._findings)
        tokens: dict[str, str] = {}
        for key in written:
            entry = section.entries.pop(key)
            path = explain.path_to("monitors", key)
            id_ = names.identify(key, entry.key_at)
            node = _as_mapping(entry)
            if node is None:
                self._findings.problem(
                    entry.value.at, f"{path}: {explain.mismatch('a URL or a mapping', entry.value)}", _EXAMPLE
                )
                continue
            kind = self._kind(node, path)
            keys = self._keys(node, kind, path)
            check = self._check(node, kind, path)
            group = self._group(node, path)
            if keys is None:
                continue
            name = names.name(key, None if keys.name is UNSET else keys.name, entry.key_at)
            own = Layer(keys, node, path)
            layers = self._layers(own, group)
            usual = _USUAL
            if check is not None and is_unprobed(check):
                usual = check.usual
                self._refuse_unused(node, check, path)
                layers = layers and [own, *map(reminders_only, layers[1:])]
                if isinstance(check, Listening):
                    self._hold_token(node, check, key, path, tokens)
                if isinstance(check, RollingUp) and id_ is not None:
                    check = members.resolve(id_, check, node, path)
            if layers is None or check is None or id_ is None or name is None:
                continue
            target = _same(check.target, node.get("url"))
            monitor = settle(
                layers,
                id_=key if id_ == key else id_,
                name=name,
                target=target,
                group=group,
                health_in_path=path_names_health(_path_of(target)),
                usual=usual,
            )
            yield Watched(monitor=monitor, check=check, position=str(entry.key_at))
        members.refuse_cycles()

    def _refuse_unused(self, node: Mapping, check: Unprobed, path: str) -> None:
        for key, remedy in check.unused.items():
            if key in node.entries:
                what = f"{explain.path_to(path, key)} means nothing here"
                self._findings.problem(node.entries[key].key_at, what, remedy)

    def _hold_token(self, node: Mapping, check: Listening, key: str, path: str, tokens: dict[str, str]) -> None:
        """Report a token that another monitor has: nobody could tell which of the two a signal is for."""
        if check.token is None:
            return
        other = tokens.setdefault(check.token.reveal(), key)
        if other != key:
            what = f"{path}.token is that of {explain.quoted(other)} too"
            self._findings.problem(node.where("token"), what, "Give each heartbeat a token of its own.")

    def _keys(self, node: Mapping, kind: type[msgspec.Struct] | None, path: str) -> MonitorKeys | None:
        """Return what every monitor may say. Where the check is not known, any check's options are let pass."""
        if kind is not None:
            others = list(option_keys(kind))
        elif "type" in node.entries:
            others = list(node.entries)  # the package that knows them is not installed
        else:
            others = _options_of_all_checks()
        try:
            return self._decoder.struct(node, MonitorKeys, path, also=others)
        except Refused:
            return None

    def _check(self, node: Mapping, kind: type[msgspec.Struct] | None, path: str) -> Check | None:
        """Return the check with its options, which are all keys that are not common to every monitor."""
        if kind is None:
            return None
        common = fields_of(MonitorKeys)
        own = fields_of(kind)
        options = {key: entry for key, entry in node.entries.items() if key in own and key not in common}
        written = Mapping(at=node.at, entries=options)
        try:
            check = self._decoder.struct(written, kind, path)
            if hasattr(kind, "placed") and isinstance(check, Placed):
                return self._decoder.made(lambda: check.placed(self._directory), written, path)
        except Refused:
            return None
        return cast("Check", check)

    def _kind(self, node: Mapping, path: str) -> type[msgspec.Struct] | None:
        """Return the options struct of the check that is asked for, by `type`, a telling key or the scheme of `url`."""
        named = node.get("type")
        if named is not None:
            if isinstance(named, Scalar) and isinstance(named.value, str) and not named.broken:
                if named.value in plugins.GUARDED - self._allowed:
                    what = f"{path}: this file does not allow checks of type {named.value}, which run programs"
                    self._findings.problem(named.at, what, f"Write {named.value}: {{ allow: true }} beside monitors:.")
                    return None
                return part_class("checks", named, path, self._findings)
            return None  # reading `type` reports it
        url = node.get("url")
        if url is not None:
            return self._kind_of_url(url, path)
        telling = next((key for key in plugins.KEYS if key in node.entries), None)
        if telling is not None:
            told = Scalar(value=plugins.KEYS[telling], at=node.entries[telling].key_at)
            return part_class("checks", told, path, self._findings)
        if not any(
            explain.did_you_mean(key, ["url", *plugins.KEYS]) for key in node.entries
        ):  # else an unknown key tells it
            self._findings.problem(node.at, f"{path} needs 'url'", _EXAMPLE)
        return None

    def _kind_of_url(self, url: Node, path: str) -> type[msgspec.Struct] | None:
        if not isinstance(url, Scalar) or not isinstance(url.value, str) or url.broken:
            if not (isinstance(url, Scalar) and url.broken):
                self._findings.problem(url.at, f"{path}.url: {explain.mismatch('a URL', url)}", _EXAMPLE)
            return None
        match = _SCHEME.match(url.value)
        if match is None:
            shown = redact(url.value) if url.shown == url.value else url.shown or "the URL"
            what = f"{path}: {explain.quoted(shown)} does not begin with a scheme"
            self._findings.problem(url.at, what, "Begin it with http:// or https://.")
            return None
        scheme = match[1].lower()
        name = plugins.check_for(scheme)
        if name is None:
            what, remedy = explain.unknown_name("check", scheme, plugins.schemes())
            self._findings.problem(url.at, f"{path}: {what}", remedy)
            return None
        return part_class("checks", Scalar(value=name, at=url.at), path, self._findings)

    def _group(self, node: Mapping, path: str) -> str | None:
        """Return the group that a monitor names, None where it names none; report one that is not there."""
        named = node.get("group")
        if not isinstance(named, Scalar) or not isinstance(named.value, str) or named.broken:
            return None  # reading the key reports what is no name at all
        if named.value not in self._groups:
            what, remedy = explain.unknown_name("group", named.value, self._groups, shown=named.shown)
            self._findings.problem(named.at, f"{path}: {what}", f"{remedy} Groups are written under groups:.")
        return named.value

    def _layers(self, own: Layer, group: str | None) -> list[Layer] | None:
        """Return where settings come from, the most particular first. None where one of them cannot be used."""
        layers: list[Layer | None] = [own, self._defaults]
        if group is not None:
            layers.insert(1, self._groups.get(group))
        usable = [layer for layer in layers if layer is not None]
        compare_times(usable, self._findings)
        return usable if len(usable) == len(layers) else None


def _options_of_all_checks() -> list[str]:
    found: set[str] = set()
    for name in sorted({*plugins.SCHEMES.values(), *plugins.KEYS.values()}):
        found.update(option_keys(plugins.find("checks", name)))
    return sorted(found)


def _same(target: str, url: Node | None) -> str:
    """Return the target, as the very text that was written where it is that: the check keeps it as well."""
    return url.value if isinstance(url, Scalar) and isinstance(url.value, str) and url.value == target else target


def _path_of(target: str) -> str:
    try:
        return urlsplit(target).path
    except ValueError:  # checks of other packages have targets of other forms
        return ""


def _as_mapping(entry: Entry) -> Mapping | None:
    """Return a monitor's keys, also where it is nothing but its target; None where it is neither. It stands at its name."""
    node = entry.value
    if isinstance(node, Scalar) and (node.broken or isinstance(node.value, str)):
        return Mapping(at=entry.key_at, entries={"url": Entry(node.at, node)})
    return Mapping(at=entry.key_at, entries=node.entries) if isinstance(node, Mapping) else None

"""From what is written under `notify` to the channels that alerts go to."""

from collections.abc import Iterator
from collections.abc import Mapping as Environ
from typing import cast

from msgspec import UNSET

from laya_uptime import plugins
from laya_uptime.config import explain, overrides
from laya_uptime.config.decoder import Decoder, Refused
from laya_uptime.config.findings import Findings
from laya_uptime.config.names import Names
from laya_uptime.config.parts import option_keys, part_class
from laya_uptime.config.schema import ChannelKeys
from laya_uptime.config.tree import Entry, Mapping, Scalar
from laya_uptime.ports import Channel, Notifier

_COMMON = frozenset(option_keys(ChannelKeys))


class Channels:
    """Reads every channel of one file. What is wrong goes to the findings; a channel with a mistake is left out."""

    def __init__(self, decoder: Decoder, findings: Findings, environ: Environ[str, str]) -> None:
        """Take the environment, which may hold secrets of channels."""
        self._decoder = decoder
        self._findings = findings
        self._environ = environ

    def read(self, section: Mapping) -> Iterator[Channel]:
        """Yield the channels that can be used, in the order in which they are written."""
        names = Names("notify", self._findings)
        for key, entry in section.entries.items():
            path = explain.path_to("notify", key)
            id_ = names.identify(key, entry.key_at)
            try:
                channel = self._channel(id_ or "", key, entry, path)
            except Refused:
                continue
            if id_ is not None and names.name(key, channel.title, entry.key_at) is not None:
                yield channel

    def _channel(self, id_: str, key: str, entry: Entry, path: str) -> Channel:
        node = self._decoder.mapping(entry.value, path)
        node = Mapping(at=entry.key_at, entries=node.entries)
        named = node.get("type")
        if named is None:
            known = explain.listing(plugins.names("notifiers"))
            self._findings.problem(node.at, f"{path} needs 'type'", f"Known: {known}.")
            raise Refused
        kind = None
        if isinstance(named, Scalar) and isinstance(named.value, str) and not named.broken:
            kind = part_class("notifiers", named, path, self._findings)
        others = option_keys(kind) if kind is not None else list(node.entries)
        keys = self._decoder.struct(node, ChannelKeys, path, also=others)
        if kind is None:
            raise Refused
        node = overrides.apply_secrets(node, key, kind, self._environ, self._findings)
        options = {name: value for name, value in node.entries.items() if name not in _COMMON}
        notifier = cast("Notifier", self._decoder.struct(Mapping(at=node.at, entries=options), kind, path))
        title = key if keys.title is UNSET else keys.title
        return Channel(id=id_, kind=keys.type, title=title, notifier=notifier)

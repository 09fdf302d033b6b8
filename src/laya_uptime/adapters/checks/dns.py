"""Ask a name server one question, and keep its exact answer.

Without an `expect` about it, the answer must be NOERROR with at least one record. An error code is an answer too, so that
a monitor can expect it.
"""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from typing import Literal, get_args

import msgspec

from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.dns import NameServer, queried_name
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, DnsFacts, Failure, Seen
from laya_uptime.ports import Fault, Reach

Record = Literal["A", "AAAA", "CNAME", "MX", "TXT", "NS", "SOA", "SRV", "CAA", "PTR"]

_URL = re.compile(r"dns://(?:([^/?#]*)/)?([^/?#]*)(?:\?([^#]*))?", re.IGNORECASE)
_PROVABLE = {"NOERROR", "NXDOMAIN"}


class DnsCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `type: dns`, and the probe they configure."""

    url: str | None = None  # dns://[resolver[:port]/]name[?type=A], instead of the first three below
    query: str | None = None  # the name to ask for
    record: Record | None = None  # A where nothing is said
    resolver: str | None = None  # the name server that is asked instead of this machine's own
    dnssec: bool = False  # the server must say that DNSSEC proves the answer

    def __post_init__(self) -> None:
        """Raise ValueError with a plain sentence where there is nothing to be asked."""
        self._question()

    @property
    def target(self) -> str:
        """Return the question in the form of the `url` option."""
        name, record, server = self._question()
        return f"dns://{'' if server is None else f'{server}/'}{name}?type={record}"

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  it keeps what was seen until then
        """Ask once. An outage is returned, never raised; so is a passed deadline."""
        name, record, server = self._question()
        trail = ExchangeTrail(via.clock)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                facts = await via.ask(name, record, resolver=server, dnssec=self.dnssec, trail=trail)
        except Fault as fault:
            return replace(fault.failure, evidence=trail.evidence())
        except TimeoutError:
            trail.enter(None)
            asked = f"name server {server}" if server else f"name servers {', '.join(trail.addresses)}"
            detail = f"no answer from {asked} within {timeout.total_seconds():g} s"
            return Failure(Reason.TIMEOUT, detail, trail.evidence(), phase="dns")
        if self.dnssec and not facts.authenticated and facts.rcode in _PROVABLE:
            return Failure(Reason.DNS, _unproven(facts), trail.evidence())
        return Answer(trail.evidence())

    def _question(self) -> tuple[str, Record, NameServer | None]:
        """Return the name, the record and whom to ask. Raise ValueError where an option cannot be used."""
        query, record, resolver = self.query, self.record, self.resolver
        if self.url is not None:
            if query is not None or record is not None or resolver is not None:
                raise ValueError("`url` already says the name, the record and the resolver")
            query, record, resolver = _parts(self.url)
        if not query:
            raise ValueError("`query` is needed: the name to ask for")
        record = record or "A"
        try:
            name = queried_name(query, record)
        except ValueError as error:
            raise ValueError(f"`{'query' if self.url is None else 'url'}`: {error}") from None
        return name, record, NameServer.parse(resolver) if resolver else None


def _parts(url: str) -> tuple[str, Record | None, str | None]:
    """Return name, record and resolver of a URL (after RFC 4501, with two slashes). Raise ValueError where it is none."""
    match = _URL.fullmatch(url)
    if match is None or not match[2]:
        raise ValueError("`url`: write it as dns://example.org?type=MX or dns://192.0.2.53/example.org?type=MX")
    record: Record | None = None
    for option in re.split(r"[;&]", match[3] or ""):
        key, _, value = option.partition("=")
        found = next((one for one in get_args(Record) if key.lower() == "type" and one == value.upper()), None)
        if found is not None:
            record = found
        elif option and (key.lower(), value.upper()) != ("class", "IN"):
            raise ValueError(f"`url`: after the ? can be type= and one of {', '.join(get_args(Record))}")
    return match[2], record, match[1] or None


def _unproven(facts: DnsFacts) -> str:
    return f"the answer of name server {facts.server} for {facts.name} is not authenticated by DNSSEC (no AD flag)"

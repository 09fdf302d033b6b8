"""Any bytes as the answers of a proxy, whole or in pieces: a way through, or one of a few reasons why there is none.

An input is one byte and what the proxy says. The byte's high bits choose the proxy and the target, the low four say how
large the pieces are.
"""

from collections.abc import Iterable

from laya_uptime.adapters.net.proxy import Proxy, Tunnel
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Evidence
from laya_uptime.ports import Fault

LONGEST = 384

_REASONS = {
    Reason.BLOCKED_BY_POLICY,
    Reason.HTTP_PROTOCOL,
    Reason.INTERNAL,
    Reason.REFUSED,
    Reason.RESET,
    Reason.TIMEOUT,
    Reason.UNREACHABLE,
}
_PROXIES = tuple(
    Proxy.parse(text)
    for text in (
        "socks5://192.0.2.1:1080",
        "socks5://user:secret@192.0.2.1:1080",
        "http://192.0.2.1:3128",
        "http://user:secret@192.0.2.1:3128",
    )
)
_PLACES = (("shop.example", 443), ("2001:db8::1", 8443))
_MOST_SAID = 1024  # bytes of ours in all


def run(data: bytes) -> None:
    """Hold what is made of the proxy's words in one piece against what is made of them in many."""
    if not data:
        return
    proxy, place = _PROXIES[data[0] >> 6], _PLACES[data[0] >> 5 & 1]
    at_once, in_pieces = proxy.tunnel(*place), proxy.tunnel(*place)
    fault = _talk(at_once, (data[1:],))
    size = 1 + (data[0] & 15)
    other = _talk(in_pieces, (data[at : at + size] for at in range(1, len(data), size)))
    if at_once.is_open:
        assert in_pieces.is_open
    elif in_pieces.is_open:
        assert fault is not None, "what is open in pieces is open at once"
        assert "more than it was asked" in fault.failure.detail, fault
    else:
        assert fault is not None
        assert other is not None
        assert fault.failure == other.failure, (fault.failure, other.failure)


def _talk(tunnel: Tunnel, pieces: Iterable[bytes]) -> Fault | None:
    """Say and hear until the way is open. Return why it is not; None: it is."""
    said = len(tunnel.opening())
    try:
        for piece in pieces:
            said += len(tunnel.feed(piece, Evidence))
            if tunnel.is_open:
                break
        else:
            raise tunnel.closed(Evidence())
    except Fault as fault:
        failure = fault.failure
        assert failure.reason in _REASONS, failure
        assert failure.detail.isprintable(), failure
        assert len(failure.detail) <= 100, failure
        assert "secret" not in failure.detail
        return fault
    assert said <= _MOST_SAID
    return None

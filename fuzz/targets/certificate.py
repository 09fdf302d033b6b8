"""Any bytes as a certificate: how strong it is, or that this cannot be told."""

from laya_uptime.adapters.net.der import strength

LONGEST = 2048

_KEYS = {"", "RSA", "EC", "Ed25519", "Ed448"}
_DIGESTS = {"", "MD2", "MD5", "SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512"}


def run(data: bytes) -> None:
    """Read the strength; a part that cannot be read is empty."""
    found = strength(data)
    assert found.key in _KEYS, found
    assert found.digest in _DIGESTS, found
    assert found.bits is None or found.key in {"RSA", "EC"}, found
    assert found.bits is None or 0 <= found.bits <= 8 * len(data), found
    assert strength(data) == found

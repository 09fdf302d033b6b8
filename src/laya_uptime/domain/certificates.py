"""What makes a certificate weak: a key or a signature that somebody else could make today.

The limits are those of OpenSSL's security level 2 and of the CA/Browser Forum's baseline requirements, section 6.1.5:
112 bits of strength, so RSA from 2048 and elliptic curves from 224 bits; SHA-1 and MD5 signatures are forged in
practice.
"""

from collections.abc import Sequence

from laya_uptime.domain.result import Certificate

_LEAST_BITS = {"RSA": 2048, "EC": 224}
_BROKEN = frozenset({"MD2", "MD5", "SHA-1"})


def weakness(chain: Sequence[Certificate]) -> str | None:
    """Return in one sentence what is weak in a chain, the server's own certificate first; None: nothing is.

    What a certificate signs for itself proves nothing either way, so the signature of a root is no weakness.
    """
    for place, certificate in enumerate(chain):
        which = "certificate" if place == 0 else f"issuing certificate {certificate.subject}"
        least = _LEAST_BITS.get(certificate.key)
        if least is not None and certificate.bits is not None and certificate.bits < least:
            return f"{which} has a weak key: {certificate.key} of {certificate.bits} bits, {least} are the least"
        if certificate.digest in _BROKEN and certificate.subject != certificate.issuer:
            return f"{which} has a weak signature: {certificate.digest} can be forged"
    return None


def key_words(certificate: Certificate) -> str:
    """Return "RSA 2048", "EC 256" or "Ed25519"; nothing where the key is of another kind."""
    return f"{certificate.key} {certificate.bits}" if certificate.bits is not None else certificate.key

"""From what the operating system says to the words people read.

Only errors that speak about the target become its outage. Whatever speaks about this machine (no file descriptor, no
memory, a local firewall) is INTERNAL, and what we do not know is INTERNAL too: our trouble is never somebody's outage.
"""

import errno
import ssl

from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Evidence, Failure
from laya_uptime.ports import Fault

_WORDS: dict[int, tuple[Reason, str]] = {
    errno.ECONNREFUSED: (Reason.REFUSED, "Connection refused"),
    errno.ECONNRESET: (Reason.RESET, "Connection reset by peer"),
    errno.EPIPE: (Reason.RESET, "Connection reset by peer"),
    errno.ECONNABORTED: (Reason.RESET, "Connection aborted"),
    errno.ENETRESET: (Reason.RESET, "Connection reset by the network"),
    errno.ETIMEDOUT: (Reason.TIMEOUT, "Connection timed out"),
    errno.EHOSTUNREACH: (Reason.UNREACHABLE, "No route to host"),
    errno.ENETUNREACH: (Reason.UNREACHABLE, "Network is unreachable"),
    errno.EHOSTDOWN: (Reason.UNREACHABLE, "Host is down"),
    errno.ENETDOWN: (Reason.UNREACHABLE, "Network is down"),
    errno.EAFNOSUPPORT: (Reason.UNREACHABLE, "This machine has no IPv6"),
    errno.EMFILE: (Reason.INTERNAL, "too many open files"),
    errno.ENFILE: (Reason.INTERNAL, "too many open files on this machine"),
    errno.ENOMEM: (Reason.INTERNAL, "out of memory"),
    errno.ENOBUFS: (Reason.INTERNAL, "out of network buffers"),
    errno.EADDRNOTAVAIL: (Reason.INTERNAL, "no free local port"),
    errno.EACCES: (Reason.INTERNAL, "this machine does not permit the connection"),
    errno.EPERM: (Reason.INTERNAL, "this machine does not permit the connection"),
}


def words(error: OSError) -> tuple[Reason, str]:
    """Return the reason for this error and its cause in plain words."""
    if isinstance(error, ssl.SSLError):  # its errno is OpenSSL's, where 1 is not EPERM
        return Reason.TLS_HANDSHAKE, (error.reason or "TLS fault").replace("_", " ").lower()
    known = _WORDS.get(error.errno) if error.errno is not None else None
    if known is not None:
        return known
    name = errno.errorcode.get(error.errno, "unknown") if error.errno is not None else type(error).__name__
    return Reason.INTERNAL, f"unexpected system error ({name})"


def fault(reason: Reason, detail: str, evidence: Evidence, *, phase: str | None = None) -> Fault:
    """Return the exception to raise for it."""
    return Fault(Failure(reason, detail, evidence, phase))


def from_os_error(error: OSError, evidence: Evidence, *, phase: str | None = None) -> Fault:
    """Return the exception to raise for a system error; the phase is kept for a time-out only."""
    reason, detail = words(error)
    return fault(reason, detail, evidence, phase=phase if reason is Reason.TIMEOUT else None)

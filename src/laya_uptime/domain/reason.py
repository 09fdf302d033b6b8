"""Why a check did not simply pass: one closed vocabulary for the API, metrics, alerts and pages."""

from enum import StrEnum


class Reason(StrEnum):
    """One cause per verdict. The words are public: they are labels, JSON values and text on pages."""

    DNS = "dns"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    TIMEOUT = "timeout"
    TLS_EXPIRED = "tls_expired"
    TLS_NOT_YET_VALID = "tls_not_yet_valid"
    TLS_HOSTNAME = "tls_hostname"
    TLS_SELF_SIGNED = "tls_self_signed"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_HANDSHAKE = "tls_handshake"
    HTTP_STATUS = "http_status"
    HTTP_PROTOCOL = "http_protocol"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    REDIRECT_LOOP = "redirect_loop"
    REDIRECT_BLOCKED = "redirect_blocked"
    BODY_INVALID = "body_invalid"
    ASSERTION = "assertion"
    REPORTED_DEGRADED = "reported_degraded"
    REPORTED_UNHEALTHY = "reported_unhealthy"
    SLOW = "slow"
    CERT_EXPIRING = "cert_expiring"
    CERT_WEAK = "cert_weak"
    HEARTBEAT_LATE = "heartbeat_late"
    BLOCKED_BY_POLICY = "blocked_by_policy"
    PROBE_OFFLINE = "probe_offline"
    INTERNAL = "internal"

    @property
    def is_ours(self) -> bool:
        """Say whether the trouble is the monitor's own, so that it proves nothing about the target."""
        return self in _OURS


_OURS = frozenset({Reason.BLOCKED_BY_POLICY, Reason.PROBE_OFFLINE, Reason.INTERNAL})

"""A message of a name server as a person reads it, section by section, for a trace."""

import dns.exception
import dns.flags
import dns.rdatatype

from laya_uptime.adapters.net.names.message import Question, text_of

_LARGEST = 4096  # bytes; reading more would cost what a stranger chooses
_MOST_RECORDS = 32


def asked(question: Question) -> str:
    """Return "example.org AAAA"."""
    return f"{text_of(question.name)} {dns.rdatatype.to_text(dns.rdatatype.RdataType(question.rdtype))}"


def sections(wire: bytes) -> list[str]:
    """Return the flags, then each record with the section that it stands in; at most 32 records of at most 4 KiB."""
    import dns.message  # noqa: PLC0415  hundreds of kilobytes, needed for a trace alone

    if len(wire) > _LARGEST:
        return [f"[{len(wire)} bytes]"]
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True, one_rr_per_rrset=True)
        records = [
            f"{name}: {record.to_text()}"
            for name, records in zip(("answer", "authority", "additional"), message.sections[1:], strict=False)
            for record in records
        ]
        records += [f"option: {option.to_text()}" for option in message.options]
    except (dns.exception.DNSException, ValueError) as error:
        return [f"[{len(wire)} bytes that cannot be read: {type(error).__name__}]"]
    more = [f"and {len(records) - _MOST_RECORDS} more records"] if len(records) > _MOST_RECORDS else []
    return [f"flags: {dns.flags.to_text(message.flags)}", *records[:_MOST_RECORDS], *more]

"""The message itself: headers that nobody can forge from outside, a text part, and an HTML part that says the same.

`Message-ID` is the same at every attempt, so a mailbox that got the message twice can drop one. All messages of an
incident refer to one root, which makes them one thread. Text of strangers is put on one line before it becomes a
header and escaped before it becomes HTML; the HTML loads nothing from anywhere. RFC 5322, 2045, 3834.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import HeaderRegistry, MessageIDHeader
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

from laya_uptime.adapters.notifiers.email.address import Mailbox
from laya_uptime.domain import wording
from laya_uptime.domain.alert import Alert, AlertStatus, Transition
from laya_uptime.domain.text import cut, one_line
from laya_uptime.domain.wording import Line

_GREEN, _AMBER, _RED = "#1f8662", "#a06512", "#a4112f"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_HEADER = 200

_registry = HeaderRegistry()
# Elsewhere in the standard library these are plain text, which is folded and encoded when it is long.
for _name in ("in-reply-to", "references"):
    _registry.map_to_type(_name, MessageIDHeader)  # type: ignore[arg-type]  # typeshed forgets that mixins are meant
_POLICY = SMTP.clone(header_factory=_registry)

_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">
<title>{subject}</title></head>
<body style="margin:0;padding:16px;font:15px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif">
<div style="max-width:640px;border-left:6px solid {colour};padding-left:12px">
<p style="font-size:20px;margin:0 0 8px"><strong>{subject}</strong></p>
<p style="margin:0 0 12px">{summary}</p>
<table role="presentation" style="border-collapse:collapse">
{rows}
</table>
</div>
</body></html>
"""
_ROW = (
    '<tr><td style="padding:2px 12px 2px 0;vertical-align:top;opacity:.75;white-space:nowrap">{label}:</td>'
    '<td style="padding:2px 0;vertical-align:top;overflow-wrap:anywhere">{text}</td></tr>'
)


def compose(
    alert: Alert, *, sender: Mailbox, to: Sequence[Mailbox], refused: Sequence[str], sent_at: datetime
) -> bytes:
    """Return the message in its final form: 7-bit, lines of at most 998 characters that end in CRLF.

    `refused` names the recipients whom the server did not take, with its reasons; the others read of it.
    """
    facts = alert.facts
    headline = wording.subject(alert)
    lines = [*wording.details(alert, sent_at=sent_at), *(Line("Not accepted for", one_line(who)) for who in refused)]
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender.header
    message["To"] = [mailbox.header for mailbox in to]
    message["Subject"] = _header(headline)
    message["Date"] = format_datetime(sent_at)
    message["Message-ID"] = _message_id(alert.id, sender)
    message["In-Reply-To"] = message["References"] = _message_id(f"{_digest(alert.dedup_key)}-incident", sender)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Laya-Status"] = facts.status.value
    message["X-Laya-Transition"] = alert.transition.value
    message["X-Laya-Service"] = _header(facts.service)
    message["X-Laya-Incident"] = _header(alert.incident_id)
    message["X-Laya-Dedup-Key"] = _header(alert.dedup_key)
    # Quoted-printable keeps every line short and 7-bit, so that no relay has to re-encode the message.
    message.set_content(_text(wording.summary(alert), lines), cte="quoted-printable")
    message.add_alternative(_html(alert, headline, lines), subtype="html", cte="quoted-printable")
    return message.as_bytes()


def _text(summary: str, lines: Sequence[Line]) -> str:
    rows = "".join(f"{line.label + ':':<18}{line.text}\n" for line in lines)
    return f"{summary}\n\n{rows}"


def _html(alert: Alert, headline: str, lines: Sequence[Line]) -> str:
    return _PAGE.format(
        subject=escape(headline),
        summary=escape(wording.summary(alert)),
        colour=_colour(alert),
        rows="\n".join(_ROW.format(label=escape(line.label), text=escape(line.text)) for line in lines),
    )


def _header(text: str) -> str:
    """Return the text fit for a header. "=?" is taken apart, since readers decode it and may find line breaks in it."""
    return cut(one_line(text), _HEADER).replace("=?", "= ?")


def _message_id(name: str, sender: Mailbox) -> str:
    left = name if _ID.fullmatch(name) else _digest(name)
    return f"<{left}@{sender.domain}>"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _colour(alert: Alert) -> str:
    if alert.transition is Transition.UNDELIVERED or alert.facts.status is AlertStatus.DEGRADED:
        return _AMBER
    return _GREEN if alert.facts.status.is_good else _RED

"""The two channels of the drop-in face: ALERT_EMAIL with the SMTP variables, and ALERT_WEBHOOK.

The host of a webhook picks its format, because people paste what Slack, Discord or PagerDuty gave them.
"""

import re
from collections.abc import Mapping as Environ
from typing import cast
from urllib.parse import parse_qsl, urlencode, urlsplit

from laya_uptime import plugins
from laya_uptime.config.findings import Findings
from laya_uptime.config.parts import build
from laya_uptime.config.secrets import from_variable
from laya_uptime.config.tree import Position
from laya_uptime.domain.secret import Secret
from laya_uptime.domain.urls import canonical_host, parse_url
from laya_uptime.ports import Channel, Notifier

SENDER = "monitoring@laya.local"
_SUBMISSIONS = 465  # RFC 8314: TLS from the first byte
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SOMEBODY = "somebody@example.org"  # stands for the recipients where only another option is looked at

_SLACK = {"hooks.slack.com", "hooks.slack-gov.com"}
_DISCORD = {"discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"}
_PAGERDUTY = {"events.pagerduty.com", "events.eu.pagerduty.com"}
_ENQUEUE = "/v2/enqueue"


class Channels:
    """Reads the variables of both channels. What cannot be used goes to the findings, also of a channel that is off."""

    def __init__(self, environ: Environ[str, str], findings: Findings) -> None:
        """Read from this environment."""
        self._environ = environ
        self._findings = findings

    def email(self, flag: str | None) -> Channel | None:
        """Return the channel "Email", None where it is off or cannot be used. A `flag` that is not None beats ALERT_EMAIL."""
        at = Position("ALERT_EMAIL" if flag is None else "--email")
        text = (self._text("ALERT_EMAIL") if flag is None else flag).strip(" \t")
        names = ("SMTP_SERVER", "SMTP_PORT", "SMTP_USER", "SMTP_USER_FILE", "SMTP_PASSWORD", "SMTP_PASSWORD_FILE")
        if not text and not any(map(self._environ.get, (*names, "ALERT_FROM_EMAIL"))):
            return None
        options: dict[str, object] = {"server": self._server(), "port": self._port()}
        user, password = self._credentials()
        if user is not None and password is not None:
            options |= {"user": user, "password": Secret(password)}
        if options["port"] == _SUBMISSIONS:
            options["tls"] = "implicit"
        else:
            options["tls"] = "starttls" if user is not None else "none"
        sender = self._text("ALERT_FROM_EMAIL") or SENDER
        if self._fits({"to": [_SOMEBODY], "from": sender}, "from", sender, Position("ALERT_FROM_EMAIL")):
            options["from"] = sender
        if not text:
            return None
        to = [address.strip() for address in text.split(",") if address.strip()]
        if not self._fits({"to": to}, "to", text, at):
            return None
        notifier = self._built("email", {"to": to, **options}, at)
        return None if notifier is None else Channel(id="email", kind="email", title="Email", notifier=notifier)

    def webhook(self, flag: str | None) -> Channel | None:
        """Return the channel "Webhook", None where it is off or cannot be used. A `flag` that is not None beats ALERT_WEBHOOK."""
        url, at = (flag or "").strip(" \t"), Position("--webhook")
        if flag is None:
            found = from_variable("ALERT_WEBHOOK", self._environ, self._findings)
            url, at = ("", at) if found is None else (found[0].strip(" \t"), found[1])
        if not url:
            return None
        try:
            host = parse_url(url).host.removesuffix(".")
        except ValueError as error:
            self._findings.problem(at, str(error), "Write the whole URL that the receiver gave you.")
            return None
        path = urlsplit(url).path
        kind, options = "webhook", {"url": Secret(url)}
        if host in _SLACK or (host in _DISCORD and path.rstrip("/").endswith("/slack")):
            kind, options = "slack", {"webhook": Secret(url)}
        elif host in _DISCORD and path.startswith("/api/"):
            kind, options = "discord", {"webhook": Secret(url)}
        elif host in _PAGERDUTY:
            return self._pagerduty(url, at)
        return self._channel(kind, cast("dict[str, object]", options), at)

    def _pagerduty(self, url: str, at: Position) -> Channel | None:
        """Return the channel for PagerDuty's Events API v2. The key in the URL is nearer than the one in the variable."""
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        keys = [value for name, value in query if name == "routing_key" and value]
        key, key_at = (keys[0], at) if keys else ("", at)
        if not keys and (found := from_variable("PAGERDUTY_ROUTING_KEY", self._environ, self._findings)) is not None:
            key, key_at = found[0].strip(), found[1]
        if parts.path.rstrip("/") not in {"", _ENQUEUE}:
            self._findings.problem(
                at, "this is not PagerDuty's Events API v2", f"Write https://{parts.hostname}{_ENQUEUE}."
            )
            return None
        if not key:
            self._findings.problem(
                at, "PagerDuty needs a routing key", "Set PAGERDUTY_ROUTING_KEY, or add ?routing_key=KEY to the URL."
            )
            return None
        kept = urlencode([(name, value) for name, value in query if name != "routing_key"])
        clean = parts._replace(path=_ENQUEUE, query=kept, fragment="").geturl()
        return self._channel("pagerduty", {"routing_key": Secret(key), "url": clean}, key_at)

    def _channel(self, kind: str, options: dict[str, object], at: Position) -> Channel | None:
        notifier = self._built(kind, options, at)
        return None if notifier is None else Channel(id="webhook", kind=kind, title="Webhook", notifier=notifier)

    def _built(self, kind: str, options: dict[str, object], at: Position) -> Notifier | None:
        try:
            return cast("Notifier", build(plugins.find("notifiers", kind), options))
        except ValueError as error:
            self._findings.problem(at, str(error))
            return None

    def _fits(self, options: dict[str, object], option: str, text: str, at: Position) -> bool:
        """Say whether the e-mail channel takes this option; report it where not."""
        if _CONTROL.search(text):
            self._findings.problem(at, "an e-mail address has no line break or control character", "Remove it.")
            return False
        try:
            build(plugins.find("notifiers", "email"), options)
        except ValueError as error:
            self._findings.problem(at, str(error).replace(f"`{option}`", "it"), "Write name@example.org.")
            return False
        return True

    def _server(self) -> str:
        server = self._text("SMTP_SERVER") or "localhost"
        try:
            canonical_host(server)
        except ValueError:
            self._findings.problem(
                Position("SMTP_SERVER"),
                "this is not the name of a host",
                "Write the name alone; the port goes to SMTP_PORT.",
            )
        return server

    def _port(self) -> int:
        text = self._text("SMTP_PORT") or "587"
        if re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= 65535:
            return int(text)
        self._findings.problem(
            Position("SMTP_PORT"),
            f"{text[:40]!r} is not a port number from 1 to 65535",
            "Most servers use 587, 465 or 25.",
        )
        return 587

    def _credentials(self) -> tuple[str | None, str | None]:
        """Return user and password, both or neither."""
        before = self._findings.count
        user = from_variable("SMTP_USER", self._environ, self._findings)
        password = from_variable("SMTP_PASSWORD", self._environ, self._findings)
        if self._findings.count > before:
            return None, None
        if user is not None and password is None:
            self._findings.problem(user[1], "SMTP_PASSWORD is missing", "Set it too, or remove SMTP_USER.")
        elif password is not None and user is None:
            self._findings.problem(password[1], "SMTP_USER is missing", "Set it too, or remove SMTP_PASSWORD.")
        elif user is not None and password is not None:
            for value, at in (user, password):
                if "\0" in value:
                    self._findings.problem(at, "it holds a NUL character", "Remove it.")
            return user[0], password[0]
        return None, None

    def _text(self, name: str) -> str:
        return self._environ.get(name, "").strip(" \t")

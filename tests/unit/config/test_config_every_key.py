"""Every key of the file: each is wrong once here, and each is in the manual."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from laya_uptime.config.json_schema import json_schema
from laya_uptime.errors import Problem

MANUAL = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"

# What makes a monitor or a channel whole, so that only the key under test is wrong.
RIGHT = {
    "exec": ["type: exec", "command: [check_load]"],
    "group": ["members: [two]"],
    "heartbeat": ["heartbeat: 24h"],
    "http": ["url: http://a.example/"],
    "dns": ["type: dns", "query: a.example"],
    "ping": ["url: ping://a.example"],
    "python": ["type: python", f"call: {Path(__file__)}:keys"],
    "ws": ["url: ws://a.example/"],
    "ssh": ["url: ssh://a.example"],
    "tcp": ["host: a.example", "port: 25"],
    "tls": ["url: tls://a.example"],
    "email": ["to: a@b.example"],
    "webhook": ["url: https://h.example/"],
    "slack": ["webhook: https://h.example/${T}"],
    "discord": ["webhook: https://h.example/${T}"],
    "pagerduty": ["routing_key: ${T}"],
}

# Checks that the file must allow.
ALLOWED = {"exec": "exec: { allow: true }", "python": "python: { allow: true }"}

SETTINGS = {
    "every": ("5 mins", "'5 mins' is not a duration"),
    "timeout": ("-1s", "the duration -1s is negative"),
    "confirm": ("0", "expected a whole number from 1 to 100, got the number 0"),
    "recover": ("two", "expected a whole number from 1 to 100, got text 'two'"),
    "remind": ("-1", "expected a whole number from 0 to 100000, got the number -1"),
    "expect": ("{a: 1}", "expected text or a list, got a mapping"),
    "prefer": ("5", "expected text or a list, got the number 5"),
    "health": ("of", "expected required, auto or off, got text 'of'"),
    "cert_warning": ("14", "the duration 14 has no unit"),
}

CHECKS = ("exec", "group", "heartbeat", "http", "ping", "python", "ssh", "tcp", "tls", "ws")
MONITORS = tuple(f"monitors.{check}" for check in CHECKS)
COMMON = {
    "name": ("''", "at least 1 characters are needed, got 0"),
    "type": ("htpp", "no check is called 'htpp'"),
    "group": ("LAYA", "no group is called 'LAYA'"),
}

WRONG = {
    "site": ("5", "expected a mapping, got the number 5"),
    "site.name": ("true", "expected text, got true"),
    "site.timezone": ("Europe/Berln", "no time zone is called 'Europe/Berln'"),
    "defaults": ("[every]", "expected a mapping, got a list"),
    "groups": ("LAYA", "expected a mapping, got text 'LAYA'"),
    "monitors": ("[a]", "expected a mapping, got a list"),
    "notify": ("true", "expected a mapping, got true"),
    "egress": ("yes", "expected a mapping, got text 'yes'"),
    "egress.allow": ("example.org", "'example.org' is neither an IP address nor a network"),
    "log": ("json", "expected a mapping, got text 'json'"),
    "log.file": ("7", "expected text, got the number 7"),
    "log.format": ("jsn", "expected text or json, got text 'jsn'"),
    "log.max_size": ("10", "the size 10 has no unit"),
    "log.keep": ("0", "expected a whole number from 1 to 1000, got the number 0"),
    "log.checks": ("some", "expected every or changes, got text 'some'"),
    "store": ("90d", "expected a mapping, got text '90d'"),
    "store.retention": ("90d", "expected a mapping, got text '90d'"),
    "store.retention.results": ("1h", "the duration 1h is out of range"),
    "monitors.http.url": ("htpp://a.example/", "no check is called 'htpp'"),
    "monitors.http.method": ("gett", "expected GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS, got text 'gett'"),
    "monitors.http.headers": ("X-Id", "expected a mapping, got text 'X-Id'"),
    "monitors.http.body": ("5", "expected text, got a number"),
    "monitors.http.redirects": ("11", "expected a whole number from 0 to 10, got the number 11"),
    "monitors.http.ca_file": ("5", "expected text, got the number 5"),
    "monitors.http.http_version": ("4", "expected 1.1, 2 or 3, got the number 4"),
    "monitors.http.bearer": ("5", "expected text, got a number"),
    "monitors.http.insecure": ("nope", "expected true or false, got text 'nope'"),
    "monitors.http.client_certificate": ("5", "expected text, got the number 5"),
    "monitors.http.client_key": ("probe.key", "`client_key` needs `client_certificate`"),
    "monitors.http.server_name": ("a b", "`server_name`: the host is not a name"),
    "monitors.http.connect_to": ("a.example", "`connect_to`: the URL has no port"),
    "monitors.http.ip": ("5", "expected 4 or 6, got the number 5"),
    "monitors.http.proxy": ("ftp://a.example", "`proxy`: a proxy is written http://host:port"),
    "monitors.http.keep_alive": ("nope", "expected true or false, got text 'nope'"),
    "monitors.http.resolver": ("dns.example", "`resolver`: it must be an IP address"),
    "monitors.dns.name": ("''", "at least 1 characters are needed, got 0"),
    "monitors.dns.type": ("dsn", "no check is called 'dsn'"),
    "monitors.dns.group": ("LAYA", "no group is called 'LAYA'"),
    "monitors.dns.url": ("dns://a.example", "`url` already says the name, the record and the resolver"),
    "monitors.dns.query": ("a..b", "`query`: the host name has an empty part"),
    "monitors.dns.record": ("ANY", "expected A, AAAA, CNAME, MX, TXT, NS, SOA, SRV, CAA or PTR, got text 'ANY'"),
    "monitors.dns.resolver": ("192.0.2.53:0", "`resolver`: it must be an IP address"),
    "monitors.dns.dnssec": ("'true'", "expected true or false, got text 'true'"),
    "monitors.exec.command": ("check_load -w 5", "`command` must be a list of words"),
    "monitors.exec.environment": ("TOKEN", "expected a mapping, got text 'TOKEN'"),
    "monitors.group.members": ("nobody", "no monitor is called 'nobody'"),
    "monitors.group.up_when": ("most", "`up_when`: it must be all, any, at least N or N%"),
    "monitors.heartbeat.heartbeat": ("5 mins", "`heartbeat` is neither a duration nor a crontab line"),
    "monitors.heartbeat.timezone": ("Europe/Berln", "no time zone is called 'Europe/Berln'"),
    "monitors.heartbeat.grace": ("0s", "`grace` must be from 1s to 365d"),
    "monitors.heartbeat.token": ("${T}", "`token` must be 16 to 200"),
    "server": ("8484", "expected a mapping, got the number 8484"),
    "server.listen": ("localhost:8484", "server.listen: it must be an IP address and a port"),
    "monitors.ping.url": ("ping://a.example:80", "a ping has no port"),
    "monitors.ping.count": ("0", "expected a whole number from 1 to 100, got the number 0"),
    "monitors.ping.gap": ("1ms", "gap must be from 10ms to 10s"),
    "monitors.ping.family": ("ip6", "expected any, ipv4 or ipv6, got text 'ip6'"),
    "monitors.python.call": ("nothing", "`call` is neither file.py:function nor a name that a package offers"),
    "monitors.python.arguments": ("[a]", "expected a mapping, got a list"),
    "monitors.python.environment": ("TOKEN", "expected a mapping, got text 'TOKEN'"),
    "monitors.ws.url": ("ws://a.example:99999/", "the URL's port is not a number"),
    "monitors.ws.headers": ("X-Id", "expected a mapping, got text 'X-Id'"),
    "monitors.ws.subprotocols": ("a b", "one of the subprotocols contains a character"),
    "monitors.ws.send": ("5", "expected text, got a number"),
    "monitors.ws.receive": ("maybe", "expected true or false, got text 'maybe'"),
    "monitors.ws.ca_file": ("5", "expected text, got the number 5"),
    "exec": ("true", "expected a mapping, got true"),
    "exec.allow": ("'yes'", "expected true or false, got text 'yes'"),
    "python": ("true", "expected a mapping, got true"),
    "python.allow": ("'yes'", "expected true or false, got text 'yes'"),
    "monitors.tcp.url": ("smtp://a.example", "no check is called 'smtp'"),
    "monitors.tcp.host": ("'a b'", "`host`"),
    "monitors.tcp.port": ("70000", "expected a whole number from 1 to 65535, got the number 70000"),
    "monitors.tcp.tls": ("starttls", "expected true or false, got text 'starttls'"),
    "monitors.tcp.ca_file": ("5", "expected text, got the number 5"),
    "monitors.tcp.server_name": ("'a b'", "`server_name`"),
    "monitors.tcp.dialogue": ("PING", "expected a list, got text 'PING'"),
    "monitors.ssh.url": ("ssh://me@a.example", "the URL has a user in it"),
    "monitors.tls.url": ("tls://a.example/x", "the URL has a path or a query"),
    "monitors.tls.ca_file": ("5", "expected text, got the number 5"),
    "monitors.tls.server_name": ("'a b'", "`server_name`"),
    "monitors.tls.starttls": ("smpt", "expected smtp, imap, pop3, ftp or postgres, got text 'smpt'"),
    "monitors.tls.min_version": ("1.1", "expected 1.2 or 1.3, got the number 1.1"),
    "notify.email.type": ("emial", "no notifier is called 'emial'"),
    "notify.email.title": ('"a\\nb"', "text 'a\\nb' is not in the form that is needed"),
    "notify.email.to": ("nobody", "`to`"),
    "notify.email.from": ("nobody", "`from`"),
    "notify.email.server": ("'a b'", "`server`"),
    "notify.email.port": ("587.5", "expected a whole number, got the number 587.5"),
    "notify.email.user": ("somebody", "`user`"),
    "notify.email.password": ("5", "expected text, got a number"),
    "notify.email.tls": ("ssl", "expected starttls, implicit or none, got text 'ssl'"),
    "notify.email.ca_file": ("5", "expected text, got the number 5"),
    "notify.webhook.type": ("webhok", "no notifier is called 'webhok'"),
    "notify.webhook.title": ("5", "expected text, got the number 5"),
    "notify.webhook.url": ("h.example", "`url`"),
    "notify.webhook.secret": ("''", "`secret`"),
    "notify.webhook.headers": ("[X-Id]", "expected a mapping, got a list"),
    "notify.webhook.ca_file": ("5", "expected text, got the number 5"),
    "notify.slack.type": ("slac", "no notifier is called 'slac'"),
    "notify.slack.title": ("5", "expected text, got the number 5"),
    "notify.slack.webhook": ("h.example", "`webhook`"),
    "notify.discord.type": ("discrod", "no notifier is called 'discrod'"),
    "notify.discord.title": ("5", "expected text, got the number 5"),
    "notify.discord.webhook": ("h.example", "`webhook`"),
    "notify.pagerduty.type": ("pager", "no notifier is called 'pager'"),
    "notify.pagerduty.title": ("5", "expected text, got the number 5"),
    "notify.pagerduty.routing_key": ("'a b'", "`routing_key`"),
    "notify.pagerduty.url": ("h.example", "`url`"),
    **{
        f"{place}.{key}": row
        for place in ("defaults", "groups", "monitors.http", "monitors.dns")
        for key, row in SETTINGS.items()
    },
    **{f"monitors.{check}.{key}": row for check in CHECKS for key, row in COMMON.items()},
    **{f"{place}.{key}": row for place in ("defaults", "groups", *MONITORS) for key, row in SETTINGS.items()},
}


def keys() -> Iterator[str]:
    """Every key that the schema knows, e.g. "log.keep", "groups.every", "notify.email.port"."""
    schema = json_schema()
    settings = schema["$defs"]["settings"]["properties"]
    for section, inner in schema["properties"].items():
        yield section
        if section in {"defaults", "groups"}:
            yield from (f"{section}.{key}" for key in settings)
        elif section in {"monitors", "notify"}:
            for part in inner["additionalProperties"]["anyOf"]:
                if "properties" in part:
                    kind = part["properties"]["type"]["const"]
                    yield from (f"{section}.{kind}.{key}" for key in part["properties"])
        else:
            yield from below(section, inner)


def below(path: str, schema: dict[str, Any]) -> Iterator[str]:
    for key, inner in schema.get("properties", {}).items():
        yield f"{path}.{key}"
        yield from below(f"{path}.{key}", inner)


def document(key: str, value: str) -> tuple[str, str]:
    """Return a file in which only this key is wrong, and the place where the mistake is."""
    section, *path = key.split(".")
    lines = [f"{section}:"]
    if section in {"groups", "monitors", "notify"} and path:
        lines += ["  two: http://b.example/", "  one:"] if path[0] == "group" and section == "monitors" else ["  one:"]
        if section != "groups":
            kind, *path = path
            lines += [f"    {line}" for line in RIGHT[kind] if not line.startswith(f"{path[-1]}:")]
            lines[:0] = [ALLOWED[kind]] if kind in ALLOWED else []
            needs_type = section == "notify" or (kind == "tcp" and path != ["url"])
            lines += [f"    type: {kind}"] if needs_type and path != ["type"] else []
    elif len(path) > 1:
        lines.append(f"  {path[0]}:")
    indent = "    " if key.count(".") > 1 and section in {"monitors", "notify"} else "  " * len(lines)
    last = f"{indent}{path[-1]}: " if path else lines.pop() + " "
    lines.append(last + value)
    return "\n".join(lines) + "\n", f"c.yaml:{len(lines)}:{len(last) + 1}"


def test_a_new_key_comes_with_a_row_that_gets_it_wrong() -> None:
    assert set(keys()) == set(WRONG)


@pytest.mark.parametrize("key", sorted(WRONG))
def test_a_wrong_value_is_told_where_it_stands(problems: Callable[..., tuple[Problem, ...]], key: str) -> None:
    value, said = WRONG[key]
    text, where = document(key, value)

    (problem,) = problems(text, T="abc123")

    assert problem.where == where
    assert said in problem.what


@pytest.mark.parametrize("key", sorted(SETTINGS))
def test_a_key_that_is_written_without_a_value_is_told(problems: Callable[..., tuple[Problem, ...]], key: str) -> None:
    (problem,) = problems(f"defaults:\n  {key}:\n")

    assert problem.where.startswith("c.yaml:2:")
    assert problem.remedy


def test_every_key_is_in_the_manual_with_its_default_and_an_example() -> None:
    rows = {
        match[1]: match[0]
        for match in re.finditer(r"^\| `([a-zA-Z_.]+)` \|.*\|.*\|$", MANUAL.read_text("utf-8"), re.MULTILINE)
    }
    named = {re.sub(r"^(monitors|notify|groups)\.NAME\.", r"\1.", row) for row in rows}

    for key in keys():
        section, *path = key.split(".")
        plain = f"{section}.{path[-1]}" if section in {"monitors", "notify"} and path else key
        if path:
            assert plain in named, f"{key} is not in {MANUAL.name}"
    for name, row in rows.items():
        example = row.split("|")[3]
        assert f"{name.rpartition('.')[2]}:" in example, f"{name} has no example"


def test_the_manual_tells_the_defaults() -> None:
    text = MANUAL.read_text("utf-8")

    for key, default in defaults("", json_schema()):
        rows = [line for line in text.splitlines() if line.startswith(("| `", "| `")) and f".{key}` |" in line]
        shown = str(default).lower() if isinstance(default, bool) else default
        assert any(f"`{shown}`" in row.split("|")[2] for row in rows), f"{key} is {default} by default"
        written = str(default).lower() if isinstance(default, bool) else default
        assert any(f"`{written}`" in row.split("|")[2] for row in rows), f"{key} is {default} by default"


def defaults(key: str, schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if "default" in schema and schema["default"] is not None:
        yield key, schema["default"]
    for name, inner in schema.get("properties", {}).items():
        yield from defaults(name, inner)
    inner = schema.get("additionalProperties")
    for part in [*schema.get("anyOf", []), *(inner["anyOf"] if isinstance(inner, dict) and "anyOf" in inner else [])]:
        yield from defaults(key, part)


def test_the_manual_s_files_load(configured: Callable[..., object]) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", MANUAL.read_text("utf-8"), re.DOTALL)

    assert len(blocks) == 2
    for block in blocks:
        configured(block, PORTAL_TOKEN="x", PAGER_SECRET="y")

"""find(): the class behind the name a configuration uses.

Built-in parts are one line each below. Other packages offer theirs through the entry-point groups
`laya_uptime.checks`, `laya_uptime.notifiers` and `laya_uptime.stores`; a built-in name cannot be taken over.
"""

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

GROUPS = ("checks", "notifiers", "stores")

_BUILT_IN: dict[str, dict[str, str]] = {
    "checks": {
        "dns": "laya_uptime.adapters.checks.dns:DnsCheck",
        "exec": "laya_uptime.adapters.checks.exec:ExecCheck",
        "group": "laya_uptime.adapters.checks.group:GroupCheck",
        "heartbeat": "laya_uptime.adapters.checks.heartbeat:HeartbeatCheck",
        "http": "laya_uptime.adapters.checks.http:HttpCheck",
        "ping": "laya_uptime.adapters.checks.ping:PingCheck",
        "python": "laya_uptime.adapters.checks.python:PythonCheck",
        "ssh": "laya_uptime.adapters.checks.ssh:SshCheck",
        "ws": "laya_uptime.adapters.checks.ws:WsCheck",
        "tcp": "laya_uptime.adapters.checks.tcp:TcpCheck",
        "tls": "laya_uptime.adapters.checks.tls:TlsCheck",
    },
    "notifiers": {
        "discord": "laya_uptime.adapters.notifiers.discord:DiscordNotifier",
        "email": "laya_uptime.adapters.notifiers.email:EmailNotifier",
        "pagerduty": "laya_uptime.adapters.notifiers.pagerduty:PagerDutyNotifier",
        "slack": "laya_uptime.adapters.notifiers.slack:SlackNotifier",
        "webhook": "laya_uptime.adapters.notifiers.webhook:WebhookNotifier",
    },
    "stores": {
        "sqlite": "laya_uptime.adapters.stores.sqlite:SqliteStore",
    },
}

# The scheme of a target picks its check, so that a plain string is a whole monitor.
SCHEMES = {
    "dns": "dns",
    "http": "http",
    "https": "http",
    "ping": "ping",
    "ssh": "ssh",
    "tcp": "tcp",
    "tls": "tls",
    "ws": "ws",
    "wss": "ws",
}

# A monitor without a target is known by the key that says what it is.
KEYS = {"heartbeat": "heartbeat", "members": "group"}

# Checks that run what somebody wrote, as the user of the service. A file must say `NAME: { allow: true }` for it.
GUARDED = frozenset({"exec", "python"})


def names(group: str) -> list[str]:
    """Return every name that `find` knows in this group, sorted."""
    return sorted(_BUILT_IN[group].keys() | {point.name for point in entry_points(group=f"laya_uptime.{group}")})


def schemes() -> list[str]:
    """Return every scheme that `check_for` knows, sorted."""
    return sorted(SCHEMES.keys() | {name for name in names("checks") if name not in _BUILT_IN["checks"]})


def check_for(scheme: str) -> str | None:
    """Return the name of the check for targets of this scheme (lower case), None where there is none.

    A check from another package is found by the scheme that is its name: `imap://...` by a check called imap.
    """
    if scheme in SCHEMES:
        return SCHEMES[scheme]
    return scheme if scheme in schemes() else None


def find(group: str, name: str) -> type:
    """Return the class registered under `name`.

    Raise LookupError where there is none, TypeError where what is registered is no class or two packages claim the
    name, ImportError or AttributeError where it cannot be loaded.
    """
    path = _BUILT_IN[group].get(name)
    if path is not None:
        module, _, attribute = path.partition(":")
        found = getattr(import_module(module), attribute)
    else:
        found = _offered(group, name).load()
    if not isinstance(found, type):
        message = f"{group} {name}: {found!r} is not a class"
        raise TypeError(message)
    return found


def name_of(group: str, kind: type) -> str:
    """Return the name under which `find` gives this class. Raise LookupError where there is none."""
    path = f"{kind.__module__}:{kind.__qualname__}"
    for name, built_in in _BUILT_IN[group].items():
        if built_in == path:
            return name
    for point in entry_points(group=f"laya_uptime.{group}"):
        if point.value == path:
            return point.name
    raise LookupError(path)


def _offered(group: str, name: str) -> EntryPoint:
    """Return the one entry point of this name. The same one found twice on the path is still one."""
    points = {point.value: point for point in entry_points(group=f"laya_uptime.{group}", name=name)}
    if not points:
        raise LookupError(name)
    if len(points) > 1:
        message = f"{group} {name}: offered by more than one package ({', '.join(sorted(points))})"
        raise TypeError(message)
    return next(iter(points.values()))

"""Monitor: what is watched, how often, and what counts as good."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from laya_uptime.domain.assertion import Assertion


class HealthMode(StrEnum):
    """Whether a health document is read from the body (SPEC: `health: required | auto | off`)."""

    REQUIRED = "required"
    AUTO = "auto"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What counts as good. `expect` must hold or the verdict is down; `prefer` should hold or it is degraded."""

    expect: tuple[Assertion, ...] = ()
    prefer: tuple[Assertion, ...] = ()
    health: HealthMode = HealthMode.AUTO
    cert_warning: timedelta = timedelta(days=14)  # a certificate that expires sooner is degraded
    health_in_path: bool = False  # the target's path names a health route (`path_names_health`); read by AUTO alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How many rounds in a row it takes to believe bad news, and good news after it. Both are at least 1."""

    failures: int = 2
    passes: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """One watched thing. `id` is the configuration's mapping key and never changes; `name` is what people read."""

    id: str
    name: str
    target: str  # redacted: safe to show, log and store
    every: timedelta = timedelta(seconds=60)
    timeout: timedelta = timedelta(seconds=10)  # total, for the whole check
    patience: Patience = field(default_factory=Patience)
    rules: Rules = field(default_factory=Rules)
    quorum: int = 1  # how many of the regions that saw a round must agree that it is down
    remind_every: int = 5  # a reminder at each such consecutive failure; 0: never
    group: str | None = None
    in_step: bool = False  # True: due at whole intervals after start, together with all that share this

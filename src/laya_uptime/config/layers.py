"""Settings from several places: a monitor's own, its group's, the file's defaults. The most particular one counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TypeVar

from msgspec import UNSET, UnsetType

from laya_uptime.config import explain
from laya_uptime.config.findings import Findings
from laya_uptime.config.quantities import written
from laya_uptime.config.schema import Settings
from laya_uptime.config.tree import Mapping
from laya_uptime.domain.assertion import Assertion
from laya_uptime.domain.monitor import HealthMode, Monitor, Patience, Rules

T = TypeVar("T")

_USUAL = Monitor(id="", name="", target="")


@dataclass(frozen=True, slots=True)
class Layer:
    """Settings from one place, the mapping that they were read from, and what that is called in messages."""

    settings: Settings
    node: Mapping
    path: str


def settle(
    layers: Sequence[Layer],
    *,
    id_: str,
    name: str,
    target: str,
    group: str | None,
    health_in_path: bool,
    usual: Monitor = _USUAL,
) -> Monitor:
    """Return the monitor that these layers describe, the most particular first. What none of them says is as `usual`."""
    said = [layer.settings for layer in layers]
    patience, rules = usual.patience, usual.rules
    return Monitor(
        id=id_,
        name=name,
        target=target,
        every=_first([one.every for one in said], usual.every),
        timeout=_first([one.timeout for one in said], usual.timeout),
        patience=_patience(
            _first([one.confirm for one in said], patience.failures),
            _first([one.recover for one in said], patience.passes),
        ),
        rules=_rules(
            _first([one.expect for one in said], rules.expect),
            _first([one.prefer for one in said], rules.prefer),
            _first([one.health for one in said], rules.health),
            _first([one.cert_warning for one in said], rules.cert_warning),
            health_in_path,
        ),
        remind_every=_first([one.remind for one in said], usual.remind_every),
        group=group,
    )


def reminders_only(layer: Layer) -> Layer:
    """Return the layer with nothing in it but `remind`: all else there is meant for monitors that look at something."""
    return Layer(Settings(remind=layer.settings.remind), layer.node, layer.path)


# Among many monitors, most have the same of these; they share them.


@lru_cache(maxsize=1024)
def _patience(failures: int, passes: int) -> Patience:
    return Patience(failures=failures, passes=passes)


@lru_cache(maxsize=1024)
def _rules(
    expect: tuple[Assertion, ...],
    prefer: tuple[Assertion, ...],
    health: HealthMode,
    cert_warning: timedelta,
    health_in_path: bool,  # noqa: FBT001  the cache takes no keywords as cheaply
) -> Rules:
    return Rules(expect=expect, prefer=prefer, health=health, cert_warning=cert_warning, health_in_path=health_in_path)


def compare_times(layers: Sequence[Layer], findings: Findings) -> None:
    """Report where both the timeout and the interval are written and the former is not shorter.

    A timeout that nobody wrote is left alone: slots that come due while a check still runs are skipped.
    """
    slow = next((layer for layer in layers if layer.settings.timeout is not UNSET), None)
    often = next((layer for layer in layers if layer.settings.every is not UNSET), None)
    if slow is None or often is None:
        return
    timeout, every = slow.settings.timeout, often.settings.every
    if timeout is UNSET or every is UNSET or timeout < every:
        return
    # Blame what is written more particularly: the defaults may suit every other monitor.
    particular, key = (slow, "timeout") if layers.index(slow) <= layers.index(often) else (often, "every")
    value = particular.node.get(key)
    findings.problem(
        particular.node.at if value is None else value.at,
        explain.about(
            particular.path,
            f"the timeout {written(timeout)} is not shorter than the interval {written(every)}"
            + ("" if slow is often else f" ({slow.path}.timeout, {often.path}.every)"),
        ),
        f"Set timeout below {written(every)}, or every above {written(timeout)}.",
    )


def _first(values: Sequence[T | UnsetType], usual: T) -> T:
    for value in values:
        if not isinstance(value, UnsetType):
            return value
    return usual

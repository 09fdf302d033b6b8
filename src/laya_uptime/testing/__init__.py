"""Public helpers for tests: a clock that obeys, scripted checks, parts that record, and a contract suite per port.

What is exported here needs nothing but laya-uptime itself. The contract suites (`notifier_contract`), the real peers
(`http_peer`, `target`, `truth`) and the ledger sink (`ledger`) are modules of their own, because they need the
`testing` extra.
"""

from laya_uptime.testing.builders import (
    a_change,
    a_channel,
    a_monitor,
    a_probe,
    a_result,
    an_alert_due,
    an_incident,
    watched,
)
from laya_uptime.testing.clock import NOON, FakeClock
from laya_uptime.testing.durations import duration
from laya_uptime.testing.recording import (
    FailedDelivery,
    RecordingListener,
    RecordingNotifier,
    RecordingOverseer,
    RecordingWatchdog,
)
from laya_uptime.testing.scripted import PROBES, SIGNS, NoNetwork, ScriptedCheck
from laya_uptime.testing.troubled import TroubledStore

__all__ = [
    "NOON",
    "PROBES",
    "SIGNS",
    "FailedDelivery",
    "FakeClock",
    "NoNetwork",
    "RecordingListener",
    "RecordingNotifier",
    "RecordingOverseer",
    "RecordingWatchdog",
    "ScriptedCheck",
    "TroubledStore",
    "a_change",
    "a_channel",
    "a_monitor",
    "a_probe",
    "a_result",
    "an_alert_due",
    "an_incident",
    "duration",
    "watched",
]

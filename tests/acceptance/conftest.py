"""What the acceptance tests share: the program in a place of its own, three services to watch, and somebody to tell."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from laya_uptime.testing.ledger import LedgerSink
from laya_uptime.testing.program import Installation
from laya_uptime.testing.services import Services


@pytest.fixture
def services() -> Iterator[Services]:
    """Three services on loopback, healthy until told otherwise."""
    with Services() as services:
        yield services


@pytest.fixture
def laya(tmp_path: Path, services: Services) -> Iterator[Installation]:
    """The program, set up to watch those services and to keep its log and data under tmp_path."""
    with Installation(tmp_path) as laya:
        laya.environment |= services.environment() | {"LOG_FILE": str(laya.log)}
        yield laya


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[LedgerSink]:
    """A mail server and a webhook receiver in a process of their own."""
    with LedgerSink(tmp_path / "ledger") as sink:
        yield sink


@pytest.fixture
def alerts(sink: LedgerSink) -> dict[str, str]:
    """The variables that send alerts to the sink, by e-mail and by webhook."""
    return {
        "ALERT_EMAIL": "on-call@example.org",
        "SMTP_SERVER": "127.0.0.1",
        "SMTP_PORT": str(sink.smtp_port),
        "ALERT_WEBHOOK": sink.url("/webhook"),
    }


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are taken and nobody ever speaks."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]

"""Tell systemd that we are ready, alive, or stopping (sd_notify(3): one datagram to $NOTIFY_SOCKET)."""

import contextlib
import os
import socket
from collections.abc import Mapping


class SystemdWatchdog:
    """`ports.Watchdog` for `Type=notify` units. Without $NOTIFY_SOCKET it says nothing to nobody."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self) -> None:
        """See `ports.Watchdog.ready`."""
        self._send(b"READY=1")

    def alive(self) -> None:
        """See `ports.Watchdog.alive`."""
        self._send(b"WATCHDOG=1")

    def stopping(self) -> None:
        """See `ports.Watchdog.stopping`."""
        self._send(b"STOPPING=1")

    def _send(self, message: bytes) -> None:
        if not self._address:
            return
        # A manager that does not listen must not stop the monitoring.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.setblocking(False)
            out.sendto(message, self._address)

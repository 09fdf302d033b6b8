"""The check of type dns keeps the promises of all checks, against peers that have answers too large for a datagram."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address

import pytest

from laya_uptime.adapters.checks.dns import DnsCheck
from laya_uptime.adapters.net.dialer import GuardedDialer
from laya_uptime.domain.result import Seen
from laya_uptime.ports import Check, Reach
from laya_uptime.testing.check_contract import LATE, CheckContract


async def truncates(sock: socket.socket) -> None:
    """Answer every question with a header that says: ask over TCP."""
    loop = asyncio.get_running_loop()
    while True:
        query, address = await loop.sock_recvfrom(sock, 65535)
        await loop.sock_sendto(sock, query[:2] + b"\x83\x80" + query[4:], address)


class TestDns(CheckContract):
    silent_phase = "dns"
    connects = False

    def check(self, host: str, port: int, *, secret: str = "") -> Check:
        try:
            ip_address(host)
        except ValueError:
            return DnsCheck(query=host)
        return DnsCheck(query="shop.example", resolver=f"{host}:{port}")

    @pytest.fixture
    def via(self, on_port: Callable[[int], GuardedDialer]) -> Reach:
        return on_port(53)

    async def look(self, port: int, via: Reach, within: timedelta = LATE) -> Seen:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.bind(("127.0.0.1", port))
            answering = asyncio.ensure_future(truncates(sock))
            try:
                return await super().look(port, via, within)
            finally:
                answering.cancel()
                with suppress(asyncio.CancelledError):
                    await answering

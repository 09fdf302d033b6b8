"""uvicorn's HTTP connection with limits on how long and how much a stranger may take before a request is whole.

By itself it would wait for ever for the end of a head, and take a head of any size.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

WHOLE_WITHIN = 10.0  # seconds for a request, from the connection or its first byte to its last
LONGEST_HEAD = 16 * 1024  # bytes


class BoundedProtocol(HttpToolsProtocol):
    """One connection. It is torn down where a request is not whole in time or its head is too long."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  whatever uvicorn makes it from
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._head = 0  # bytes that came since the last head was whole
        self._in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._be_content()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is too much."""
        if self._deadline is None:
            self._wait()
        if not self._in_body:
            self._head += len(data)
        super().data_received(data)
        if not self._in_body and self._head > LONGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_headers_complete(self) -> None:
        """Note the end of a head."""
        self._in_body, self._head = True, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        self._in_body = False
        self._be_content()
        super().on_message_complete()

    def _wait(self) -> None:
        self._be_content()
        self._deadline = self.loop.call_later(WHOLE_WITHIN, self._give_up)

    def _be_content(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self.transport.abort()

"""The listener: the application on an address, in the loop of the service."""

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from laya_uptime.errors import ConfigError, Problem
from laya_uptime.web.bounded import BoundedProtocol

MOST_CONNECTIONS = 1_000  # at once; beyond these the answer is 503
IDLE = 5  # seconds that a connection may wait for its next request


class Listener:
    """Takes its address at once, so that one in use is known before anything begins; answers once it runs."""

    def __init__(self, address: tuple[str, int]) -> None:
        """Take the address. Raise ConfigError where it cannot be had."""
        host, port = address
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            what = f"{_shown(host, port)} cannot be listened on: {error.strerror or error}"
            raise ConfigError([Problem("server.listen", what, "Stop what listens there, or name another.")]) from error
        self._host = host

    @property
    def url(self) -> str:
        """Return where it can be reached from this machine."""
        return f"http://{_shown(self._host, self._socket.getsockname()[1])}"

    async def run(self, app: ASGIApp) -> None:
        """Answer until cancelled; requests that are under way then may still be answered."""
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # strangers who send nonsense are no news
            access_log=False,  # it would hold the tokens
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=IDLE,
        )
        server = _Server(config)
        try:
            # A copy, because uvicorn closes what it was given, and this may be started again after a fault.
            await server.serve(sockets=[self._socket.dup()])
        finally:
            for each in getattr(server, "servers", ()):
                each.close()

    def close(self) -> None:
        """Give the address back."""
        self._socket.close()


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to the service."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

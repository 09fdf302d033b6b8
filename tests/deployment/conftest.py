"""What the deployment tests share: the repository, the programs of this machine, and three services to watch."""

import json
import os
import shutil
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PATHS = ("/api/v1/health/liveness", "/modules/System/health.php", "/api/health")


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Return the path of a program, or skip and say so: what could not run is counted as not run."""

    def find(name: str) -> str:
        beside = Path(sysconfig.get_path("scripts")) / name
        found = str(beside) if beside.exists() else shutil.which(name)
        if found is None:
            pytest.skip(f"not run: {name} is not on this machine")
        return found

    return find


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], bool], Callable[[], str]], None]:
    """Return once a condition holds; fail with what there is to see when it does not within 30 s."""

    def wait(holds: Callable[[], bool], seen: Callable[[], str]) -> None:
        deadline = time.monotonic() + 30
        while not holds():
            if time.monotonic() > deadline:
                pytest.fail(f"it did not happen. What was seen:\n{seen()}")
            time.sleep(0.05)

    return wait


class _Healthy(BaseHTTPRequestHandler):
    """Answers as the LAYA services do when they are well, and as nothing else does."""

    def do_GET(self) -> None:
        body = json.dumps({"status": "healthy"}).encode()
        self.send_response(200 if self.path in PATHS else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Stay silent."""


@pytest.fixture
def services() -> Iterator[dict[str, str]]:
    """Run the three services on loopback and return the environment of a monitor that watches them each second."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Healthy) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        url = f"http://127.0.0.1:{server.server_port}"
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        yield kept | {
            "AI_SERVICE_URL": url,
            "GIBBON_URL": url,
            "PARENT_PORTAL_URL": url,
            "CHECK_INTERVAL": "1",
            "PYTHONUTF8": "1",
            "PYTHONUNBUFFERED": "1",
        }
        server.shutdown()
        serving.join()

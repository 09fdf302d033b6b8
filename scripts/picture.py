"""Draw docs/images/watch.svg: run the real program on three small servers that fail and recover, and keep what it prints.

Usage: python scripts/picture.py
"""

import http.server
import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from rich.console import Console
from rich.text import Text

HEALTHY = b'{"status":"healthy"}'
DEGRADED = b'{"status":"degraded","checks":{"disk_space":{"status":"warning","message":"Disk space running low"}}}'
COLOURS = {"ERROR": "red", "WARNING": "yellow"}


class Target(http.server.BaseHTTPRequestHandler):
    """Answers what its server's `answer` says."""

    def do_GET(self) -> None:
        """Answer."""
        status, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the parent's name
        """Say nothing."""


def serve() -> http.server.ThreadingHTTPServer:
    """Start one target on a free port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
    server.answer = (200, HEALTHY)  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def record() -> list[str]:
    """Return what `watch` prints over eleven rounds."""
    ai, gibbon, portal = serve(), serve(), serve()
    plan = {3: (gibbon, (200, DEGRADED)), 5: (ai, (500, b"")), 8: (ai, (200, HEALTHY))}
    with tempfile.TemporaryDirectory() as folder:
        environ = os.environ | {
            "LAYA_UPTIME_DATA": folder,
            "LOG_FILE": f"{folder}/log",
            "AI_SERVICE_URL": f"http://localhost:{ai.server_port}",
            "GIBBON_URL": f"http://localhost:{gibbon.server_port}",
            "PARENT_PORTAL_URL": f"http://localhost:{portal.server_port}",
        }
        command = [sys.executable, "-m", "laya_uptime", "watch", "--interval", "1"]
        lines: list[str] = []
        rounds = 0
        with subprocess.Popen(  # noqa: S603  our own program
            command, env=environ, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.rstrip("\n").replace(folder, "/var/lib/laya-uptime"))
                if "Parent Portal: " in line and " - ✓" in line:
                    rounds += 1
                    if rounds in plan:
                        server, server.answer = plan[rounds][0], plan[rounds][1]  # type: ignore[attr-defined]
                if rounds == 11:
                    break
            process.terminate()
    return lines


def main() -> None:
    """Write the picture."""
    console = Console(record=True, width=110, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123  ends with the program
    for line in record():
        level = line.split(" - ")[1] if line.count(" - ") > 1 else ""
        console.print(Text(line, style=COLOURS.get(level, "")))
    drawing = console.export_svg(title="laya-uptime watch")
    drawing = re.sub(r"@font-face\s*{[^}]*}", "", drawing).replace("Fira Code", "ui-monospace")
    Path(__file__).parent.parent.joinpath("docs/images/watch.svg").write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    main()

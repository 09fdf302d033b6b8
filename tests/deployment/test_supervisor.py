"""The supervisor program, run by a real supervisord: it comes up, stays up, and stops in order."""

import configparser
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DAEMON = """
[supervisord]
nodaemon=true
silent=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
[unix_http_server]
file={folder}/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/s.sock
[include]
files={folder}/conf.d/*.conf
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a new directory with a short name: the path of a socket may have 107 bytes."""
    made = Path(tempfile.mkdtemp(prefix="sv-"))
    yield made
    shutil.rmtree(made)


def test_the_program_has_the_documented_name_account_and_places(repository: Path) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(repository / "deploy/supervisor/laya-uptime-monitor.conf", encoding="utf-8")
    program = parser["program:laya-uptime-monitor"]

    assert program["command"] == "/opt/laya-uptime/venv/bin/laya-uptime watch"
    assert program["user"] == "laya"
    assert program["stdout_logfile"] == "/var/log/laya-uptime-monitor.log"
    assert 'AI_SERVICE_URL="http://localhost:8000"' in program["environment"]


def test_supervisord_runs_the_monitor_and_stops_it_in_order(
    repository: Path,
    program: Callable[[str], str],
    eventually: Callable[[Callable[[], bool], Callable[[], str]], None],
    services: dict[str, str],
    folder: Path,
) -> None:
    daemon, control = program("supervisord"), program("supervisorctl")
    # The file as it ships, but for the places, the account and the port of the services.
    text = (repository / "deploy/supervisor/laya-uptime-monitor.conf").read_text(encoding="utf-8")
    text = text.replace("/opt/laya-uptime/venv/bin", sysconfig.get_path("scripts"))
    text = text.replace("/var/lib/laya-uptime", f"{folder}/data").replace("/var/log", f"{folder}/log")
    text = re.sub(r"http://localhost:\d+", services["AI_SERVICE_URL"], text)
    text = text.replace("user=laya\n", "")
    for made in ("data", "log/laya-uptime", "conf.d"):
        (folder / made).mkdir(parents=True)
    (folder / "conf.d/laya-uptime-monitor.conf").write_text(text, encoding="utf-8")
    (folder / "supervisord.conf").write_text(DAEMON.format(folder=folder), encoding="utf-8")

    def ask(*words: str) -> str:
        command = [control, "-c", str(folder / "supervisord.conf"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def seen() -> str:
        return "\n".join(path.read_text("utf-8") for path in folder.rglob("*.log"))

    running = subprocess.Popen([daemon, "-c", folder / "supervisord.conf"], stderr=subprocess.DEVNULL, env=services)
    try:
        eventually(lambda: "RUNNING" in ask("status", "laya-uptime-monitor"), seen)
        eventually(lambda: "✓ Parent Portal: healthy (200)" in seen(), seen)
        stopped = ask("stop", "laya-uptime-monitor")
    finally:
        running.terminate()
        running.wait(timeout=30)

    assert stopped == "laya-uptime-monitor: stopped\n"
    assert "stopped: laya-uptime-monitor (exit status 0)" in (folder / "supervisord.log").read_text("utf-8")

"""The program in the image's conditions, without an image: process 1, no privileges, a root that cannot be written."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import pytest

Sandbox = Callable[[Sequence[str]], list[str]]


@pytest.fixture
def sandbox(repository: Path, program: Callable[[str], str], tmp_path: Path) -> Sandbox:
    """Wrap a command: uid 65532, no capabilities, own processes, and only /app/logs, the data and /tmp to write to."""
    bwrap = program("bwrap")
    for name in ("logs", "data"):
        (tmp_path / name).mkdir()
    options = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1", "--die-with-parent"]
    options += ["--uid", "65532", "--gid", "65532", "--cap-drop", "ALL", "--new-session"]
    # The places to write to come first: a checkout may lie below one of them, and is not to be hidden by it.
    options += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for folder in dict.fromkeys(("/usr", "/etc", sys.base_prefix, sys.prefix, str(repository / "src"))):
        options += ["--ro-bind", folder, folder]
    for folder in ("bin", "sbin", "lib", "lib64"):
        if (Path("/") / folder).exists():
            options += ["--symlink", f"usr/{folder}", f"/{folder}"]
    options += ["--ro-bind", str(repository / "scripts/uptime_monitoring.py"), "/app/uptime_monitoring.py"]
    options += ["--bind", str(tmp_path / "logs"), "/app/logs", "--bind", str(tmp_path / "data"), "/var/lib/laya-uptime"]
    options += ["--remount-ro", "/", "--chdir", "/app"]
    try_out = subprocess.run([bwrap, *options, "/bin/true"], capture_output=True, text=True, check=False)
    if try_out.returncode:
        pytest.skip(f"not run: bwrap may not make a sandbox here: {try_out.stderr.strip()}")
    return lambda command: [bwrap, *options, *command]


def test_h02_the_sandbox_is_as_tight_as_the_container(sandbox: Sandbox) -> None:
    script = (
        "id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status; touch /app/x /x; touch /app/logs/x && echo ok"
    )

    done = subprocess.run(sandbox(["/bin/sh", "-c", script]), capture_output=True, text=True, check=False)

    assert done.stdout.split() == [
        "65532",
        "CapEff:",
        "0000000000000000",
        "CapBnd:",
        "0000000000000000",
        "NoNewPrivs:",
        "1",
        "ok",
    ]
    assert done.stderr.count("Read-only file system") == 2


def start(command: list[str], environment: dict[str, str], output: IO[str]) -> tuple[subprocess.Popen[str], int]:
    """Start it and return it with the process id of the program inside."""
    reading, writing = os.pipe()
    at = command.index("--unshare-user")
    command = [*command[:at], "--info-fd", str(writing), *command[at:]]
    started = subprocess.Popen(
        command, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True, pass_fds=[writing]
    )
    os.close(writing)
    with os.fdopen(reading) as information:
        return started, int(json.load(information)["child-pid"])


def test_h02_it_watches_is_healthy_and_stops_in_order_on_a_read_only_root(
    sandbox: Sandbox,
    services: dict[str, str],
    eventually: Callable[[Callable[[], bool], Callable[[], str]], None],
    tmp_path: Path,
) -> None:
    output = tmp_path / "output"
    environment = services | {"LOG_FILE": "/app/logs/uptime_monitoring.log", "LAYA_UPTIME_DATA": "/var/lib/laya-uptime"}

    def seen() -> str:
        return output.read_text("utf-8")

    with output.open("w") as writing:
        running, inside = start(sandbox([sys.executable, "uptime_monitoring.py"]), environment, writing)
        try:
            eventually(lambda: "✓ Parent Portal: healthy (200)" in seen() or running.poll() is not None, seen)
            assert running.poll() is None, seen()
            # What the image's health check does: another process, the same files.
            doctor = [f"{sys.prefix}/bin/laya-uptime", "doctor", "--live"]
            health = subprocess.run(sandbox(doctor), env=environment, capture_output=True, text=True, check=False)
            os.kill(inside, signal.SIGTERM)
            code = running.wait(timeout=30)
        finally:
            running.kill()
            running.wait()

    assert health.returncode == 0, health.stdout + health.stderr
    assert code == 0, seen()
    assert "✓ AI Service: healthy (200)" in (tmp_path / "logs/uptime_monitoring.log").read_text("utf-8")
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] != []

"""How late, how costly and how large the whole engine is with 3, 100 and 1,000 monitors.

The product itself runs as a process on a configuration file, checks a server on loopback and stores every result.
Lateness (start of a check minus its due time) is read from the stored results, CPU and memory from the kernel. Beside
it, in the same run, a bare loop makes the same requests on plain sockets and does nothing else: the least that a
fresh connection costs here from Python.
"""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from laya_uptime.adapters.stores.sqlite import FILE
from rows import Row, main, progress

SIZES = ((3, 1), (100, 2), (1_000, 10))  # monitors, interval in seconds
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def target() -> Iterator[int]:
    """Run the target and yield its port."""
    command = [sys.executable, str(Path(__file__).with_name("target.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.terminate()


def cpu_seconds(pid: int) -> float:
    """Return user plus system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int, key: str) -> float:
    """Return VmRSS or VmHWM in MB."""
    found = re.search(rf"{key}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    assert found
    return int(found.group(1)) * 1024 / 1e6


def bare(port: int, count: int) -> float:
    """Return the CPU microseconds of one GET on a fresh plain socket."""
    request = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    began = time.process_time()
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request)
            while connection.recv(65536):
                pass
    return (time.process_time() - began) / count * 1e6


def run(port: int, monitors: int, every: int, seconds: float) -> list[Row]:
    """Run the product for a while and return its figures."""
    name = f"engine.{monitors}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "laya-uptime.yaml")
        lines = "".join(f"  m{n}: http://127.0.0.1:{port}/health?m={n}\n" for n in range(monitors))
        file.write_text(f"defaults: {{ every: {every}s, timeout: 900ms }}\nmonitors:\n{lines}", encoding="utf-8")
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "laya_uptime", "serve", "--config", str(file)],
            env=os.environ | {"LAYA_UPTIME_DATA": folder},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            first = 0.0
            for line in process.stdout:
                if "✓" in line:
                    first = time.monotonic() - began
                    break
            if not first:
                raise SystemExit(f"the product ended by itself with {process.wait()}")
            drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
            time.sleep(every + 1)  # the burst at start is behind us
            cpu, stored, since = cpu_seconds(process.pid), len(lateness(folder)), time.monotonic()
            time.sleep(seconds)
            cpu = cpu_seconds(process.pid) - cpu
            window = time.monotonic() - since
            rss, peak = memory_mb(process.pid, "VmRSS"), memory_mb(process.pid, "VmHWM")
            process.send_signal(signal.SIGTERM)
            process.wait(20)
            drain.wait(20)
        late = lateness(folder)
    steady = sorted(late[stored:])
    checks = len(steady)
    gate = ("<= 60", "<= 1") if monitors == 3 else (None, None)
    return [
        Row(name=f"{name}.checks_per_s", value=checks / window, unit="1/s"),
        Row(name=f"{name}.lateness_p50_ms", value=quantile(steady, 0.50), unit="ms"),
        Row(name=f"{name}.lateness_p99_ms", value=quantile(steady, 0.99), unit="ms"),
        Row(name=f"{name}.cpu_us_per_check", value=cpu / checks * 1e6, unit="us"),
        Row(name=f"{name}.cpu_percent", value=cpu / window * 100, unit="%"),
        Row(name=f"{name}.rss_mb", value=rss, unit="MB", gate=gate[0]),
        Row(name=f"{name}.peak_rss_mb", value=peak, unit="MB"),
        Row(name=f"{name}.first_result_s", value=first, unit="s", gate=gate[1]),
    ]


def lateness(folder: str) -> list[float]:
    """Return the lateness in ms of every stored result, in the order in which they were stored."""
    from laya_uptime.adapters.ledger.blob import unpack  # noqa: PLC0415  not before the product has been timed

    connection = sqlite3.connect(f"file:{folder}/{FILE}?mode=ro", uri=True)
    try:
        blobs = [row[0] for row in connection.execute("SELECT data FROM ingest_log ORDER BY seq")]
    finally:
        connection.close()
    return [(record.at - record.due).total_seconds() * 1000 for blob in blobs for record in unpack(blob)]


def quantile(ordered: list[float], share: float) -> float:
    """Return the value below which this share lies."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def measure(quick: bool) -> list[Row]:
    """Return all rows."""
    rows = []
    with target() as port:
        for monitors, every in SIZES:
            progress(f"{monitors} monitors every {every} s ...")
            rows += run(port, monitors, every, 10.0 if quick else 30.0)
        least = bare(port, 2_000)
    rows.append(Row(name="engine.bare_get_us", value=least, unit="us"))
    costs = {row.name: row.value for row in rows}
    for monitors, _ in SIZES:
        cost = costs[f"engine.{monitors}.cpu_us_per_check"]
        assert cost is not None
        rows.append(Row(name=f"engine.{monitors}.cpu_vs_bare_get", value=cost / least, unit="x"))
    return rows


if __name__ == "__main__":
    raise SystemExit(main(__doc__ or "", measure))

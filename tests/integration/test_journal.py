"""Log lines: their format, their file, and what happens when nobody reads them or the disk is full."""

import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from laya_uptime.adapters import journal
from laya_uptime.adapters.journal import Journal, say, write_block

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - (DEBUG|INFO|WARNING|ERROR) - .*")
LOG = logging.getLogger(journal.NAME)

SCRIPT = """
import logging, sys
from pathlib import Path
from laya_uptime.adapters.journal import Journal, say, write_block
log = logging.getLogger("laya_uptime")
with Journal(file=Path(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1] else None, as_json="--json" in sys.argv):
    {body}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "uptime.log"


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    handlers, propagate, level = LOG.handlers, LOG.propagate, LOG.level
    yield
    LOG.handlers, LOG.propagate = handlers, propagate
    LOG.setLevel(level)


def lines_of(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def run(body: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", SCRIPT.format(body=body.replace("\n", "\n    ")), *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=False, timeout=60)


# The format


def test_a_line_is_date_level_and_message(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal(file=file):
        LOG.info("✓ %s: %s", "AI Service", "alive (200) - 43ms")
        LOG.warning("⚠ Gibbon CMS: degraded (200) - 7ms")
        LOG.error("🚨 Parent Portal: ALERT - 1 consecutive failures")

    written = lines_of(file)
    assert all(LINE.fullmatch(line) for line in written)
    assert [line.split(" - ", 1)[1] for line in written] == [
        "INFO - ✓ AI Service: alive (200) - 43ms",
        "WARNING - ⚠ Gibbon CMS: degraded (200) - 7ms",
        "ERROR - 🚨 Parent Portal: ALERT - 1 consecutive failures",
    ]
    assert capsys.readouterr().out.splitlines() == written


def test_the_time_is_local() -> None:
    ended = run('say("x")', TZ="Asia/Kathmandu")
    utc = run('say("x")', TZ="UTC")

    there, here = (
        datetime.fromisoformat(out.stdout.decode()[:19])  # the format has no zone
        for out in (ended, utc)
    )
    assert 5.7 < (there - here).total_seconds() / 3600 < 5.8


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\rb", "a\n2026-01-01 00:00:00 - ERROR - forged"])
def test_j09_a_line_break_never_starts_a_second_event(file: Path, text: str) -> None:
    with Journal(file=file):
        LOG.info("%s", text)

    assert file.read_bytes().count(b"\n") == 1
    assert b"\r" not in file.read_bytes()
    assert text.replace("\r", "\\r").replace("\n", "\\n") in file.read_text(encoding="utf-8")


def test_a_report_is_written_as_it_stands(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = "=" * 80 + "\nStatus Report - Uptime: 0:10:00\n" + "=" * 80

    with Journal(file=file):
        say("before")
        write_block(report)
        say("after")

    before, *block, after = lines_of(file)
    assert LINE.fullmatch(before)
    assert "\n".join(block) == report
    assert LINE.fullmatch(after)
    assert capsys.readouterr().out == file.read_text(encoding="utf-8")


def test_a_debug_line_is_not_written(file: Path) -> None:
    with Journal(file=file):
        LOG.debug("nobody asked")

    assert lines_of(file) == []


def test_lines_do_not_go_to_the_root_logger(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Journal(file=file):
        say("once")

    assert caplog.records == []


def test_json_is_one_object_a_line(file: Path) -> None:
    with Journal(file=file, as_json=True):
        LOG.warning("⚠ %s", 'a "quoted"\nname')
        write_block("two\nlines")

    first, second = map(json.loads, lines_of(file))
    assert list(first) == ["time", "level", "message"]
    assert first["level"] == "WARNING"
    assert first["message"] == '⚠ a "quoted"\nname'
    assert datetime.fromisoformat(first["time"]).tzinfo is not None
    assert second["message"] == "two\nlines"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_json_on_every_terminal(encoding: str) -> None:
    ended = run('say("é 🚨 \\ud83d")', "", "--json", PYTHONIOENCODING=encoding)

    assert ended.stderr == b""
    assert json.loads(ended.stdout)["message"] == "é 🚨 \ud83d"


# The terminal


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
    ids=["PYTHONIOENCODING=ascii", "LC_ALL=C"],
)
def test_what_the_terminal_cannot_show_is_escaped(environment: dict[str, str]) -> None:
    ended = run('log.error("\\U0001f6a8 Caf\\xe9: ALERT")\nsay("next")', **environment)

    assert ended.stderr == b""
    assert ended.returncode == 0
    first, second = ended.stdout.decode("ascii").splitlines()
    assert first.endswith(" - ERROR - \\U0001f6a8 Caf\\xe9: ALERT")
    assert second.endswith(" - INFO - next")


def test_a_lone_surrogate_is_escaped(file: Path) -> None:
    with Journal(file=file):
        say("a \ud83d b")

    assert lines_of(file)[0].endswith("a \\ud83d b")


@pytest.mark.parametrize("stop", ["closed", "full"])
def test_a_reader_that_is_gone_or_stops_reading_ends_nothing_and_holds_up_nothing(file: Path, stop: str) -> None:
    """More is written than a pipe holds; the caller goes on, the file has every line, the process ends by itself."""
    body = (
        "import time\n"
        "began = time.monotonic()\n"
        "for number in range(5000):\n"
        "    log.info('line %d %s', number, 'x' * 60)\n"
        "print(time.monotonic() - began < 5, file=sys.stderr, flush=True)"
    )
    reader, writer = os.pipe()

    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(body=body.replace("\n", "\n    ")), file],
        stdout=writer,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writer)
        if stop == "closed":
            os.close(reader)
        assert process.stderr is not None
        told = process.stderr.read()
        process.wait(20)
    if stop == "full":
        os.close(reader)

    assert told == b"True\n"
    assert process.returncode == 0
    assert [line.split()[6] for line in lines_of(file)] == [str(number) for number in range(5000)]


def test_a_terminal_that_does_not_block_gets_every_line(file: Path) -> None:
    """Another program on the same terminal may have made it so."""
    body = (
        "import os\nos.set_blocking(1, False)\nfor number in range(5000):\n    log.info('line %d %s', number, 'x' * 60)"
    )

    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(body=body.replace("\n", "\n    "))], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()

    assert [line.split()[6] for line in lines] == [str(number).encode() for number in range(5000)]


def test_standard_output_that_was_closed_before_the_start_leaves_the_file(file: Path) -> None:
    code = SCRIPT.format(body='say("x")')

    ended = subprocess.run(
        ["/bin/sh", "-c", '"$0" -c "$1" "$2" >&-', sys.executable, code, file],
        capture_output=True,
        check=False,
        timeout=30,
    )

    assert (ended.returncode, ended.stderr) == (0, b"")
    assert len(lines_of(file)) == 1


def test_lines_that_could_not_be_written_in_time_are_counted_and_told(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_MOST_WAITING", 5)
    os.mkfifo(file)
    reader = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    with Journal(file=file) as log:
        long = "x" * 30_000
        for _ in range(200):
            LOG.info(long)
        lost_meanwhile = log.dropped

        os.set_blocking(reader, True)
        received = b""
        while b"log lines were lost" not in received:
            received += os.read(reader, 1 << 20)

    assert lost_meanwhile > 0
    told = re.search(rb"WARNING - (\d+) log lines were lost because they could not be written in time", received)
    assert told is not None
    assert int(told[1]) + received.count(long.encode()) == 200
    assert log.dropped >= int(told[1])
    os.close(reader)


# The file


def test_k05_only_the_owner_may_read_the_file_whatever_the_umask_is(file: Path) -> None:
    mask = os.umask(0)
    try:
        with Journal(file=file, max_size=200):
            for _ in range(20):
                say("a line of some length that soon fills the file")
    finally:
        os.umask(mask)

    files = sorted(file.parent.iterdir())
    assert len(files) > 1
    assert {oct(each.stat().st_mode & 0o777) for each in files} == {"0o600"}


def test_the_file_rotates_by_size_and_keeps_some(file: Path) -> None:
    with Journal(file=file, max_size=1000, keep=3):
        for number in range(200):
            say(f"line {number:03d}")

    files = sorted(each.name for each in file.parent.iterdir())
    assert files == ["uptime.log", "uptime.log.1", "uptime.log.2", "uptime.log.3"]
    assert all(each.stat().st_size <= 1000 for each in file.parent.iterdir())
    kept = [line[-3:] for name in reversed(files) for line in lines_of(file.with_name(name))]
    assert kept == [f"{number:03d}" for number in range(200 - len(kept), 200)]


def test_bytes_count_not_characters(file: Path) -> None:
    with Journal(file=file, max_size=1000, keep=3):
        for _ in range(30):
            say("🚨" * 20)

    assert all(each.stat().st_size <= 1000 for each in file.parent.iterdir())


def test_a_file_goes_on_where_the_last_process_left_it(file: Path) -> None:
    for word in ("first", "second"):
        with Journal(file=file):
            say(word)

    assert [line.rpartition(" ")[2] for line in lines_of(file)] == ["first", "second"]


@pytest.mark.parametrize(("max_size", "keep", "files"), [(0, 5, 1), (300, 0, 1)])
def test_nothing_is_kept_where_nothing_is_to_be_kept(file: Path, max_size: int, keep: int, files: int) -> None:
    with Journal(file=file, max_size=max_size, keep=keep):
        for number in range(50):
            say(f"line {number}")

    assert len(list(file.parent.iterdir())) == files
    assert lines_of(file)[-1].endswith("line 49")
    assert (len(lines_of(file)) == 50) is (max_size == 0)


def test_a_line_longer_than_the_file_may_be_is_written_all_the_same(file: Path) -> None:
    with Journal(file=file, max_size=100):
        say("x" * 500)
        say("short")

    assert lines_of(file.with_name("uptime.log.1"))[0].endswith("x" * 500)
    assert lines_of(file)[0].endswith("short")


@pytest.mark.parametrize("place", ["missing/uptime.log", "a-file/uptime.log", "."])
def test_a_file_that_cannot_be_written_is_a_warning(
    tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a-file").touch()
    file = tmp_path / place

    with Journal(file=file) as log:
        say("goes on")

    warning, line = capsys.readouterr().out.splitlines()
    assert log.warning is not None
    assert warning.endswith(f" - WARNING - {log.warning}")
    assert f"The log file {file} cannot be written" in warning
    assert line.endswith(" - INFO - goes on")


def test_in_a_directory_of_others_the_file_grows_and_no_line_is_lost(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refused)
    with Journal(file=file, max_size=200):
        for number in range(20):
            say(f"line {number}")

    assert len(lines_of(file)) == 20


FILL = """
import os, resource
free, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
def settle():
    import time
    outlet = logging.getLogger("laya_uptime").handlers[0]._outlets[1]
    while outlet._lines:
        time.sleep(0.001)
    time.sleep(0.01)
for number in range(10):
    say(f"line {number:04d}")
settle()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, free))
for number in range(10, 2000):
    say(f"line {number:04d}")
settle()
resource.setrlimit(resource.RLIMIT_FSIZE, (free, free))
for number in range(2000, 2010):
    say(f"line {number:04d}")
"""


def test_a_file_that_cannot_grow_loses_lines_without_a_word_and_goes_on_when_it_can(file: Path) -> None:
    """What is written is whole lines, before and after."""
    ended = run(FILL.strip(), file)

    assert ended.stderr == b""
    assert ended.stdout.count(b"\n") == 2010
    lines = lines_of(file)
    assert all(re.fullmatch(r".* - INFO - line \d{4}", line) for line in lines)
    numbers = [int(line[-4:]) for line in lines]
    assert numbers[:10] == list(range(10))
    assert numbers[-10:] == list(range(2000, 2010))
    assert len(numbers) < 100


# The handler


def test_lines_written_inside_are_out_when_it_ends(file: Path) -> None:
    with Journal(file=file):
        for number in range(3000):
            LOG.info("%d", number)

    assert len(lines_of(file)) == 3000
    assert LOG.handlers == []


def test_a_line_that_cannot_be_made_stops_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal(file=file):
        LOG.info("%d", "no number")
        say("goes on")

    assert [line.rpartition(" - ")[2] for line in lines_of(file)] == ["goes on"]
    assert "Logging error" in capsys.readouterr().err


def test_lines_of_many_threads_are_whole(file: Path) -> None:
    def talk(name: int) -> None:
        for number in range(200):
            LOG.info("thread %d says %d", name, number)

    with Journal(file=file):
        threads = [threading.Thread(target=talk, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    lines = lines_of(file)
    assert len(lines) == 1600
    assert all(LINE.fullmatch(line) for line in lines)

"""D01: whenever the process is killed, what was acknowledged is there, whole and once."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from laya_uptime.failpoints import VARIABLE

SCRIPT = Path(__file__).with_name("numbered_commits.py")
TRIALS = int(os.environ.get("LAYA_UPTIME_STORE_KILLS", "40"))
LONGEST = 0.06  # seconds from the fork to the kill: before, in and after the opening of the database
SEED = 4

POINTS = [
    "check.before_begin",
    "check.after_result",
    "check.after_state",
    "check.after_incident",
    "check.after_outbox",
    "check.before_commit",
    "check.after_commit",
    "delivery.inside_stamp",
    "delivery.after_stamp",
    "delivery.retry_write",
]


@pytest.fixture
def nursery() -> Iterator[Callable[[Path, float], None]]:
    """Fork a committing process on this directory and kill it after so many seconds."""
    command = [sys.executable, str(SCRIPT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        asked, told = process.stdin, process.stdout
        assert asked is not None
        assert told is not None

        def kill_after(directory: Path, seconds: float) -> None:
            asked.write(f"{directory} {seconds}\n")
            assert told.readline() == "killed\n"

        yield kill_after
        asked.close()
    assert process.returncode == 0


def test_d01_a_kill_at_any_moment_loses_nothing_tears_nothing_and_doubles_nothing(
    tmp_path: Path, nursery: Callable[[Path, float], None]
) -> None:
    chance = random.Random(SEED)
    progress: list[int] = []

    for _ in range(TRIALS):
        nursery(tmp_path, chance.uniform(0, LONGEST))
        progress.append(check(tmp_path, known=max(progress, default=0)))

    assert progress == sorted(progress)
    assert len(set(progress)) > TRIALS / 4  # the kills did hit processes at work


def test_d01_a_kill_at_any_moment_of_the_birth_of_a_database_leaves_none_or_a_sound_one(
    tmp_path: Path, nursery: Callable[[Path, float], None]
) -> None:
    chance = random.Random(SEED)

    for trial in range(max(TRIALS // 4, 10)):
        directory = tmp_path / str(trial)
        directory.mkdir()
        nursery(directory, chance.uniform(0, LONGEST / 3))
        born = check(directory)
        nursery(directory, LONGEST)
        check(directory, known=born)


@pytest.mark.parametrize("point", POINTS)
def test_d01_a_kill_at_a_named_point_loses_nothing_tears_nothing_and_doubles_nothing(
    tmp_path: Path, point: str
) -> None:
    # Commit 1 has nothing to stamp; of those after it, each second one sends and each other one gives up.
    died = run(tmp_path, {VARIABLE: f"{point}=kill@3"})

    assert died.returncode == -signal.SIGKILL
    reached = check(tmp_path)
    assert 2 <= reached <= 7
    went_on = run(tmp_path, {})
    assert went_on.returncode == 0
    assert check(tmp_path) == reached + 10


def test_a_kill_after_the_commit_keeps_what_nobody_heard_of(tmp_path: Path) -> None:
    run(tmp_path, {VARIABLE: "check.after_commit=kill@3"})

    assert check(tmp_path) == 3
    assert acknowledged(tmp_path) == [1, 2]


def test_a_kill_before_the_commit_keeps_nothing_of_it(tmp_path: Path) -> None:
    run(tmp_path, {VARIABLE: "check.before_commit=kill@3"})

    assert check(tmp_path) == 2
    assert acknowledged(tmp_path) == [1, 2]


def run(directory: Path, arms: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **arms}
    return subprocess.run([sys.executable, SCRIPT, directory, "10"], env=environment, check=False, timeout=60)


def acknowledged(directory: Path) -> list[int]:
    file = directory / "acknowledged"
    return [int(line) for line in file.read_text(encoding="ascii").split()] if file.exists() else []


def check(directory: Path, *, known: int = 0) -> int:
    """Hold every table against what its last commit implies, and return the number of that commit.

    `known` is the number that was there before the process began that was killed last.
    """
    path = directory / "laya-uptime.db"
    heard_of = acknowledged(directory)
    if not path.exists():
        assert not heard_of
        return 0
    with closing(sqlite3.connect(path)) as database:
        ask = database.execute
        assert ask("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not ask("SELECT 1 FROM sqlite_master").fetchall():
            assert not heard_of
            return 0
        last = ask("SELECT coalesce(max(last_seq), 0) FROM source_mark").fetchone()[0]
        rounds = list(range(1, last + 1))

        # One number more is a commit that was durable before anybody could be told.
        assert max(heard_of, default=0) <= last
        assert last - 1 <= max([known, *heard_of])
        assert heard_of == [number for number in rounds if number in set(heard_of)]
        assert [row[0] for row in ask("SELECT source_seq FROM ingest_log ORDER BY seq")] == rounds
        assert ask("SELECT seq, streak FROM monitor_status").fetchall() == [(last, last)] * (last > 0)

        spans = ask("SELECT started, ended, outcome FROM span ORDER BY started").fetchall()
        assert len(spans) == last
        assert [span[1] for span in spans] == [*(span[0] for span in spans[1:]), None][: len(spans)]
        assert [span[2] for span in spans] == [("down", "up")[number % 2] for number in range(last)]

        incidents = ask("SELECT resolved_at IS NULL FROM incident ORDER BY opened_at").fetchall()
        assert incidents == [(0,)] * (last // 2) + [(1,)] * (last % 2)

        alerts = ask(
            "SELECT incident_id, sent_at IS NOT NULL, dead_at IS NOT NULL FROM alert_outbox"
            " WHERE transition = 'down' ORDER BY rowid"
        ).fetchall()
        assert [row[0] for row in alerts] == [f"incident {number}" for number in rounds]
        assert [row[1:] for row in alerts] == [
            (0, 0) if number == last else ((0, 1) if number % 2 else (1, 0)) for number in rounds
        ]
        notes = ask("SELECT incident_id FROM alert_outbox WHERE transition = 'undelivered' ORDER BY rowid").fetchall()
        assert notes == [(f"incident {number}",) for number in range(1, last, 2)]
    return int(last)

"""The Dockerfile: linted, and an image that holds the program, its locked dependencies and nothing to build with."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Stage = list[tuple[str, str]]


@pytest.fixture
def stages(repository: Path) -> list[Stage]:
    """Return the instructions of each stage as (name, arguments), continued lines joined and comments left out."""
    text = (repository / "scripts/Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    found: list[Stage] = []
    for line in filter(None, lines):
        name, _, arguments = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append((name, " ".join(arguments.split())))
    return found


def every(stage: Stage, name: str) -> list[str]:
    return [arguments for instruction, arguments in stage if instruction == name]


def test_the_linter_finds_nothing_to_say(repository: Path, program: Callable[[str], str]) -> None:
    hadolint = program("hadolint")

    done = subprocess.run([hadolint, repository / "scripts/Dockerfile"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_both_stages_share_one_slim_base(stages: list[Stage]) -> None:
    bases = [every(stage, "FROM")[0] for stage in stages]

    assert bases == ["python:3.13-slim AS build", "python:3.13-slim"]


def test_b01_what_is_installed_is_locked_and_nothing_of_it_is_built(stages: list[Stage]) -> None:
    installs = [command for run in every(stages[0], "RUN") for command in run.split(" && ") if "install" in command]

    assert len(installs) == 3
    for command in installs[:2]:
        assert "--require-hashes" in command
        assert "--only-binary :all:" in command
    assert "--no-deps --no-index /dist/*.whl" in installs[2]
    assert not any("pip" in run for run in every(stages[1], "RUN"))


def test_h02_the_image_runs_as_nobody_in_particular_on_a_read_only_root(stages: list[Stage]) -> None:
    final = stages[1]

    assert every(final, "USER") == ["10001:10001"]
    assert [json.loads(volume) for volume in every(final, "VOLUME")] == [["/app/logs", "/var/lib/laya-uptime"]]
    assert any("find / -xdev -type f -perm /6000 -exec chmod a-s" in run for run in every(final, "RUN"))


def test_signals_and_health_reach_the_program_itself(stages: list[Stage]) -> None:
    final = stages[1]
    (health,) = every(final, "HEALTHCHECK")

    assert every(final, "STOPSIGNAL") == ["SIGTERM"]
    assert [json.loads(command) for command in every(final, "CMD")] == [["python", "uptime_monitoring.py"]]
    assert json.loads(health.partition(" CMD ")[2]) == ["laya-uptime", "doctor", "--live"]


def test_the_image_has_the_documented_settings(stages: list[Stage]) -> None:
    final = stages[1]
    settings = dict(pair.split("=", 1) for pair in every(final, "ENV")[0].split())

    assert every(final, "WORKDIR") == ["/app"]
    assert settings["PATH"].startswith("/opt/laya-uptime/bin:")
    assert {name: settings[name] for name in settings if not name.startswith("P")} == {
        "AI_SERVICE_URL": "http://ai-service:8000",
        "GIBBON_URL": "http://gibbon:80",
        "CHECK_INTERVAL": "60",
        "LOG_FILE": "/app/logs/uptime_monitoring.log",
        "LAYA_UPTIME_DATA": "/var/lib/laya-uptime",
    }
    assert settings["PARENT_PORTAL_URL"] == "http://parent-portal:3000"


def test_everything_the_image_copies_is_in_the_build_context(repository: Path, stages: list[Stage]) -> None:
    allowed = [
        line.removeprefix("!").rstrip("/")
        for line in (repository / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    ]
    copied = [
        source.rstrip("/")
        for stage in stages
        for arguments in every(stage, "COPY")
        if not arguments.startswith("--from=")
        for source in arguments.split()[:-1]
    ]

    assert sorted(copied) == sorted(allowed)
    assert all((repository / source).exists() for source in copied)

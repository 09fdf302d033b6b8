"""The compose service: valid, under its documented name, and with nothing it does not need."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture
def compose(repository: Path) -> dict[str, Any]:
    loaded = yaml.safe_load((repository / "deploy/compose/docker-compose.yml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def test_the_file_follows_the_compose_specification(repository: Path, program: Callable[[str], str]) -> None:
    check = program("check-jsonschema")

    done = subprocess.run(
        [check, "--builtin-schema", "vendor.compose-spec", repository / "deploy/compose/docker-compose.yml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_service_is_the_documented_one(repository: Path, compose: dict[str, Any]) -> None:
    monitor = compose["services"]["uptime-monitor"]

    assert monitor["build"] == {"context": ".", "dockerfile": "scripts/Dockerfile"}
    assert (repository / monitor["build"]["dockerfile"]).is_file()
    assert monitor["container_name"] == "laya-uptime-monitor"
    assert monitor["restart"] == "unless-stopped"
    assert monitor["networks"] == ["laya-network"]
    assert "./logs:/app/logs" in monitor["volumes"]
    assert {name: monitor["environment"][name] for name in ("AI_SERVICE_URL", "GIBBON_URL", "PARENT_PORTAL_URL")} == {
        "AI_SERVICE_URL": "http://ai-service:8000",
        "GIBBON_URL": "http://gibbon:80",
        "PARENT_PORTAL_URL": "http://parent-portal:3000",
    }


def test_it_waits_for_the_services_but_not_for_ever(compose: dict[str, Any]) -> None:
    waits = compose["services"]["uptime-monitor"]["depends_on"]

    assert set(waits) == {"ai-service", "gibbon", "parent-portal"}
    assert {(wait["condition"], wait["required"]) for wait in waits.values()} == {("service_healthy", False)}


def test_h02_the_container_can_write_nothing_but_its_logs_and_data(compose: dict[str, Any]) -> None:
    monitor = compose["services"]["uptime-monitor"]

    assert monitor["read_only"] is True
    assert monitor["cap_drop"] == ["ALL"]
    assert "cap_add" not in monitor
    assert "privileged" not in monitor
    assert monitor["security_opt"] == ["no-new-privileges:true"]
    assert [volume.rpartition(":")[2] for volume in monitor["volumes"]] == ["/app/logs", "/var/lib/laya-uptime"]
    assert [mount.partition(":")[0] for mount in monitor["tmpfs"]] == ["/tmp"]


def test_no_secret_is_written_into_the_file(compose: dict[str, Any]) -> None:
    environment = compose["services"]["uptime-monitor"]["environment"]

    assert {name: environment[name] for name in ("SMTP_PASSWORD", "PAGERDUTY_ROUTING_KEY", "ALERT_WEBHOOK")} == {
        "SMTP_PASSWORD": None,
        "PAGERDUTY_ROUTING_KEY": None,
        "ALERT_WEBHOOK": "${ALERT_WEBHOOK:-}",
    }

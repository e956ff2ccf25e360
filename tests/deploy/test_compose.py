"""The compose file and the image: what they name is here, and what they keep is only theirs."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.requirements import program
from tests.service import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROVISIONING = ROOT / "dashboards/provisioning"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
MOUNTS = [(name, mount.split(":")) for name, service in SERVICES.items() for mount in service.get("volumes", [])]


def test_every_mount_is_here() -> None:
    """What a service mounts from the repository is in it, read-only there, and every volume is declared and used."""
    files = [(name, *mount) for name, mount in MOUNTS if mount[0].startswith(".")]

    assert files
    assert [mount for mount in files if not (ROOT / mount[1]).exists() or mount[-1] != "ro"] == []
    assert {mount[0] for _, mount in MOUNTS if not mount[0].startswith(".")} == set(COMPOSE["volumes"])


def test_every_service_is_watched_and_started_again() -> None:
    """Each has a health check, the collector that of its image, and a restart policy; only the first step ends."""
    assert "HEALTHCHECK" in DOCKERFILE
    assert [name for name, each in SERVICES.items() if "healthcheck" not in each and "build" not in each] == ["secrets"]
    assert [name for name, each in SERVICES.items() if each["restart"] != "unless-stopped"] == ["secrets"]


def test_no_password_stands_in_it() -> None:
    """No environment holds a password: each is in a file, on a volume that the service shares with no other."""
    said = [line for each in SERVICES.values() for line in map(str, each.get("environment", {}).items())]
    secret = [(name, mount[0]) for name, mount in MOUNTS if mount[0].endswith("-secrets") and name != "secrets"]

    assert [line for line in said if re.search(r"PASSWORD", line) and "_FILE'" not in line] == []
    assert [line for line in said if re.search(r"://[^/@]*:[^/@]*@", line)] == []
    assert sorted(name for name, _ in secret) == ["collector", "grafana", "postgres"]
    assert all(volume == f"{name}-secrets" for name, volume in secret)


@pytest.mark.skipif(os.geteuid() != 0, reason="ONLY ROOT CAN GIVE FILES AWAY: the passwords are not made on this machine")
def test_passwords_are_made_once(tmp_path: Path) -> None:
    """Each is its service's alone, the two sides of the database agree, and a second start changes none."""
    for name in ("collector", "grafana", "postgres"):
        (tmp_path / name).mkdir()
    command: list[str | Path] = ["sh", ROOT / "deploy/compose/secrets.sh", tmp_path]

    def made() -> dict[str, tuple[int, int, str]]:
        subprocess.run(command, check=True)
        files = [path for path in sorted(tmp_path.rglob("*")) if path.is_file()]
        return {str(p.relative_to(tmp_path)): (p.stat().st_uid, stat.S_IMODE(p.stat().st_mode), p.read_text()) for p in files}

    first = made()
    owners = {name: (uid, mode) for name, (uid, mode, _) in first.items()}
    assert owners == {
        "collector/pgpass": (10001, 0o600),
        "grafana/admin-password": (472, 0o600),
        "postgres/password": (999, 0o600),
    }
    password, admin = first["postgres/password"][2], first["grafana/admin-password"][2]
    assert re.fullmatch(r"[0-9a-f]{48}", password)
    assert re.fullmatch(r"[0-9a-f]{48}", admin)
    assert password != admin
    assert first["collector/pgpass"][2] == f"postgres:5432:collector:collector:{password}\n"
    assert made() == first
    (tmp_path / "collector/pgpass").unlink()  # a first start that was cut off
    assert made() == first


def test_grafana_finds_what_it_shows() -> None:
    """The data source has the uid that dashboards name, and dashboards are loaded from where they are mounted."""
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/collector.yaml").read_text())["providers"]
    mounted = {mount[0]: mount[1] for name, mount in MOUNTS if name == "grafana"}

    assert source["uid"] == "collector-prometheus"
    assert source["url"] == "http://prometheus:9090"
    assert mounted["./dashboards/grafana"] == provider["options"]["path"]
    assert mounted["./dashboards/provisioning"] == "/etc/grafana/provisioning"


def test_prometheus_finds_its_rules() -> None:
    """Rules are looked for where they are mounted."""
    (pattern,) = yaml.safe_load((ROOT / "dashboards/prometheus.yml").read_text())["rule_files"]
    mounted = {mount[0]: mount[1] for name, mount in MOUNTS if name == "prometheus"}

    assert pattern == f"{mounted['./dashboards/rules']}/*.yaml"


def test_the_image_is_built_of_what_is_sent() -> None:
    """.dockerignore lets through just what the Dockerfile copies, all of which is here."""
    copied = {name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()}
    sent = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))

    assert copied == sent
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_image_is_nobody_special() -> None:
    """It ends as a numbered user that is not root, and every stage names a version of its base."""
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)

    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)[-1] == "10001:10001"
    assert bases
    assert [base for base in bases if not re.search(r":\d", base) or "/" in base] == []


@pytest.mark.slow
def test_hadolint_has_nothing_to_say() -> None:
    """The Dockerfile is clean down to matters of style."""
    judged = subprocess.run(
        [program(str(Path(sys.executable).parent / "hadolint")), "--failure-threshold", "style", ROOT / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (judged.returncode, judged.stdout) == (0, "")

"""docs/operations.md: its commands are run as they stand there, against real services and databases."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from collector.config.options import OPTIONS
from collector.persist.migrate import revisions
from tests.postgres import PostgresServer
from tests.service import ROOT, Service, environment, run_service

BLOCKS = dict(re.findall(r"<!-- test: (.+?) -->\n *```\w+\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL))
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def run(block: str, env: dict[str, str], place: Path, **variables: str) -> str:
    """What the commands of a block printed in ``place``, each of which must succeed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", BLOCKS[block]],
        cwd=place,
        env=env | {"PATH": PATH} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def report(service: Service, number: int) -> None:
    """Have a report about a violation of its own stored."""
    fields = {
        "document-uri": "https://a.example/",
        "effective-directive": "img-src",
        "blocked-uri": f"https://{number}.example",
    }
    url = f"{service.url}/csp/reports?key={service.browser_key}"
    with urllib.request.urlopen(
        urllib.request.Request(url, json.dumps({"csp-report": fields}).encode()), timeout=30
    ) as response:
        assert response.status == 200


def origins(service: Service) -> list[str]:
    """What was reported to be blocked."""
    return sorted(found["blocked_origin"] for found in service.get("/api/v2/csp/violations")["results"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_is_restored(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    """Copied while the service takes reports, and put in place of a database that went on since: just the copy is there."""
    options, backups = {}, tmp_path / "backups"
    backups.mkdir()
    path = PATH
    if kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        options["CODER_PG_CONNECTION_URL"] = server.fresh_url()
        path = f"{server.binaries}:{PATH}"
    with run_service(tmp_path, **options) as service:
        report(service, 1)
        run(f"back up {kind}", service.env, tmp_path, BACKUPS=str(backups), PATH=path)
        report(service, 2)
        assert origins(service) == ["https://1.example", "https://2.example"]
        service.kill()  # the log of a database that was not closed must not be replayed into the copy

        run(f"restore {kind}", service.env, tmp_path, BACKUPS=str(backups), PATH=path)
        service.start()
        assert origins(service) == ["https://1.example"]
        report(service, 3)
        assert origins(service) == ["https://1.example", "https://3.example"]


def stand_in(place: Path, name: str, script: str) -> str:
    """A PATH with a program that does here what ``name`` would do elsewhere."""
    (place / "bin").mkdir(exist_ok=True)
    (place / "bin" / name).write_text(f"#!/bin/sh\nset -eu\n{script}")
    (place / "bin" / name).chmod(0o755)
    return f"{place / 'bin'}:{PATH}"


@pytest.mark.slow
def test_a_backup_of_compose_is_restored(tmp_path: Path, postgres: PostgresServer) -> None:
    """The commands work on the database that the compose file names, whose containers are processes here."""
    (tmp_path / "backups").mkdir()
    postgres.psql("postgres", "CREATE ROLE collector SUPERUSER LOGIN")
    postgres.psql("postgres", "CREATE DATABASE collector OWNER collector")
    url = f"postgres://collector@127.0.0.1:{postgres.port}/collector?sslmode=disable"
    # docker compose exec -T SERVICE COMMAND…; what starts and stops is started and stopped below
    path = stand_in(tmp_path, "docker", 'case $2 in exec) shift 4; exec "$@";; stop|start) ;; *) exit 1;; esac\n')
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PATH": f"{postgres.binaries}:{path}"}
    with run_service(tmp_path, CODER_PG_CONNECTION_URL=url) as service:
        report(service, 1)
        run("back up compose", service.env, tmp_path, BACKUPS=str(tmp_path / "backups"), **where)
        assert service.total("collector_last_backup_timestamp_seconds") > 0
        report(service, 2)
        service.stop()
        run("restore compose", service.env, tmp_path, BACKUPS=str(tmp_path / "backups"), **where)
        service.start()
        assert origins(service) == ["https://1.example"]


def test_commands_of_systemd_run_as_the_service_does(tmp_path: Path) -> None:
    """What systemd is asked for stands in the unit, word for word; the files that are installed are here."""
    unit = (ROOT / "deploy/systemd/collector.service").read_text().splitlines()
    path = stand_in(tmp_path, "systemd-run", "printf '%s\\n' \"$@\"\n")
    done = subprocess.run(
        ["bash", "-euc", BLOCKS["as the service"] + "as_collector backup --taken"],
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    asked = done.stdout.splitlines()

    assert [each for each in asked if each.startswith("--property=") and each.removeprefix("--property=") not in unit] == []
    (start,) = [line.removeprefix("ExecStart=") for line in unit if line.startswith("ExecStart=")]
    assert asked[-3:] == [start.removesuffix(" serve"), "backup", "--taken"]
    (given,) = [each.removeprefix("--setenv=") for each in asked if each.startswith("--setenv=")]
    assert any(line.startswith("Environment=") and given in line for line in unit)
    named = re.findall(r"\bdeploy/systemd/\S+", BLOCKS["install the units"])
    assert {ROOT / name for name in named} == set((ROOT / "deploy/systemd").iterdir())


@pytest.mark.parametrize("block", BLOCKS)
def test_commands_are_well_formed(block: str) -> None:
    """Bash reads every block of commands, also those of which this machine has not what they need."""
    if not block.startswith(("nginx", "caddy")):
        assert subprocess.run(["bash", "-n"], input=BLOCKS[block], text=True, check=False).returncode == 0


@pytest.mark.slow
def test_a_laptops_database_moves_to_postgresql(postgres: PostgresServer, tmp_path: Path) -> None:
    """As the page says: the service that starts on PostgreSQL has what the laptop had, and goes on with the same keys."""
    url = postgres.fresh_url()
    with run_service(tmp_path) as service:
        report(service, 1)
        service.stop()
        printed = run("move", service.env, tmp_path, DATABASE_URL=url)
        assert re.fullmatch(
            r"Exported ([\d,]+ rows of \d+ tables) to collector.gz: [\d,]+ bytes\.\n"
            r"Imported \1, exported from sqlite at [\d:TZ-]+\.\n",
            printed,
        )

        (service.data / "collector.db").unlink()
        service.env["CODER_PG_CONNECTION_URL"] = url
        service.start()
        assert origins(service) == ["https://1.example"]
        report(service, 2)
        assert origins(service) == ["https://1.example", "https://2.example"]


@pytest.mark.slow
def test_a_downgrade_ends_at_the_older_tables(tmp_path: Path) -> None:
    """The newer version goes back, and forth again when it starts."""
    with run_service(tmp_path) as service:
        report(service, 1)
        service.stop()
        older = revisions()[-2]
        assert run("downgrade", service.env, tmp_path, OLDER=older) == f"At {older}.\n"
        service.start()
        assert origins(service) == ["https://1.example"]


@pytest.mark.slow
def test_several_sites(tmp_path: Path) -> None:
    """A file makes the projects, and the header of one of them is printed with its key."""
    env = environment(tmp_path / "data")
    (tmp_path / "data").mkdir()
    subprocess.run([sys.executable, "-m", "collector", "migrate"], env=env, check=True, cwd=ROOT, capture_output=True)

    printed = run("several sites", env, tmp_path)

    assert "created shop\ncreated blog\n" in printed
    assert "report-uri https://csp.example.com/csp/reports?key=" in printed


def test_retention_is_what_the_catalogue_says() -> None:
    """Each option in the table has the default that stands beside it, and no retention that acts is left out."""
    rows = re.findall(
        r"^\| [^|`]+ \| (`C[A-Z_`, ]+`) \| ([`\w, ]+) \|$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE
    )
    stated = {
        name: default
        for names, defaults in rows
        for name, default in zip(re.findall(r"\w+", names), re.findall(r"\w+", defaults), strict=True)
    }

    assert stated == {option.env: option.default for option in OPTIONS if option.env.endswith("_RETENTION") and option.acts}

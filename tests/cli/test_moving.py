"""``collector export``, ``collector import`` and ``collector restore``."""

from __future__ import annotations

import asyncio
import gzip
import io
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from collector.__main__ import main
from collector.cli.moving import progress
from collector.persist import migrate
from collector.persist.archive import ArchiveWriter, Head, TableHead
from collector.persist.lockfile import only_one
from collector.persist.moving import tables
from tests.postgres import PostgresServer
from tests.service import ROOT

TOKEN = "INSERT INTO meta VALUES ('deployment_id', 'd-1')"


@pytest.fixture
def data(migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of a database with a row; commands are told where it is, and know of no PostgreSQL."""
    monkeypatch.delenv("CODER_PG_CONNECTION_URL", raising=False)
    directory = tmp_path / "data"
    directory.mkdir()
    execute(Path(shutil.copy(migrated_file, directory / "collector.db")), TOKEN)
    return directory


def execute(database: Path, statement: str) -> list[tuple[object, ...]]:
    """Run one statement and give its rows."""
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(statement).fetchall()


def deployments(data: Path) -> list[tuple[object, ...]]:
    """The row there is."""
    return execute(data / "collector.db", "SELECT value FROM meta WHERE key = 'deployment_id'")


def where(data: Path) -> list[str]:
    """The flag that names the directory."""
    return ["--data-dir", str(data)]


def test_the_file_is_its_owners_alone(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It holds what signs cookies: nobody else may read it. A file that is there already is left as it is."""
    file = tmp_path / "export.gz"
    assert main(["export", str(file), *where(data)]) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert capsys.readouterr().out == f"Exported 1 rows of {len(tables())} tables to {file}: {file.stat().st_size:,} bytes.\n"
    before = file.read_bytes()

    assert main(["export", str(file), *where(data)]) == 1
    assert file.read_bytes() == before
    assert capsys.readouterr().err == f"collector: {file} is there already: nothing is replaced.\n"


@pytest.mark.slow
def test_it_goes_through_a_pipe(data: Path, tmp_path: Path) -> None:
    """With - for a file nothing but the archive is on standard output, and a second process takes it from there."""
    new = tmp_path / "new"
    collector = [sys.executable, "-m", "collector"]
    with subprocess.Popen([*collector, "export", "-", *where(data)], cwd=ROOT, stdout=subprocess.PIPE) as export:
        done = subprocess.run(
            [*collector, "import", "-", *where(new)], cwd=ROOT, stdin=export.stdout, capture_output=True, text=True, check=False
        )

    assert (export.returncode, done.returncode) == (0, 0), done.stderr
    assert done.stdout.startswith("Imported 1 rows of ")
    assert deployments(new) == [("d-1",)]


def test_nothing_is_left_of_an_export_that_fails(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a database, or a place for the file, there is no file, and no part of one."""
    before = sorted(tmp_path.rglob("*"))

    assert main(["export", str(tmp_path / "export.gz"), *where(tmp_path / "nothing")]) == 1
    assert main(["export", str(tmp_path / "no such directory/export.gz"), *where(data)]) == 2
    assert sorted(tmp_path.rglob("*")) == before
    assert "The database lacks " in capsys.readouterr().err


@pytest.mark.slow
def test_a_full_disk_is_named(data: Path) -> None:
    """A disk that takes no more ends the export in one line."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "collector", "export", "-", *where(data)],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 2
    assert done.stderr == "collector: The export cannot be written: No space left on device\n"


def older(data: Path, file: Path) -> str:
    """Write an export as the version before this one wrote it; the migration that it is of."""
    revision = migrate.revisions()[-2]
    assert main(["migrate", "--to", revision, *where(data)]) == 0
    made, names = data / "collector.db", "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    rows = {str(name): execute(made, f"SELECT * FROM {name}") for (name,) in execute(made, names) if name != "alembic_version"}
    columns = {name: tuple(str(column) for _, column, *_ in execute(made, f"PRAGMA table_info({name})")) for name in rows}
    heads = tuple(TableHead(name, columns[name], len(rows[name])) for name in rows)
    with file.open("wb") as out:
        archive = ArchiveWriter(out, Head(1, revision, "sqlite", "2026-01-14T10:00:00Z", "0.1", heads))
        for head in heads:
            assert list(archive.table(head, iter([rows[head.name]]))) == [head.rows]
        archive.close()
    return revision


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.slow
def test_an_older_export_is_brought_up_to_date(
    request: pytest.FixtureRequest, data: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is imported at its own migration into a database that nobody has used, and then the newer ones are applied.

    One that is beyond that migration already is left as it is.
    """
    file, url = tmp_path / "export.gz", ""
    revision = older(data, file)
    if kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.fresh_url()
    target = ["--data-dir", str(tmp_path / "new"), "--postgres-url", url]

    assert main(["import", str(file), *target]) == 0
    assert main(["migrate", "--check", *target]) == 0
    assert main(["export", str(tmp_path / "again.gz"), *target]) == 0
    assert b'\n["deployment_id","d-1"]\n' in gzip.decompress((tmp_path / "again.gz").read_bytes())

    migrated = tmp_path / "migrated"
    assert main(["migrate", *where(migrated)]) == 0
    capsys.readouterr()
    assert main(["import", str(file), *where(migrated)]) == 1
    assert (
        f"This export is of migration {revision}, the database is at {migrate.revisions()[-1]} already"
        in capsys.readouterr().err
    )
    assert deployments(migrated) == []


def test_a_newer_export_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A migration that this version does not know is named, and no database is made."""
    file = tmp_path / "export.gz"
    assert main(["export", str(file), *where(data)]) == 0
    newest = migrate.revisions()[-1]
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()).replace(f'"{newest}"'.encode(), b'"9999"', 1)))

    assert main(["import", str(file), *where(tmp_path / "new")]) == 1
    assert "This export is of migration '9999', which this version does not know" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_an_import_is_not_into_a_database_in_use(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither into one that a service holds, nor into one with rows, which then are named; both stay as they were."""
    file, held = tmp_path / "export.gz", tmp_path / "held"
    assert main(["export", str(file), *where(data)]) == 0
    with only_one(held):
        assert main(["import", str(file), *where(held)]) == 1
    assert "is served by process" in capsys.readouterr().err
    assert not (held / "collector.db").exists()

    assert main(["migrate", "--to", migrate.revisions()[-2], *where(data)]) == 0
    assert main(["import", str(file), *where(data)]) == 1
    assert "The database is not empty: there are rows in meta." in capsys.readouterr().err
    assert main(["migrate", "--check", *where(data)]) == 1, "it was migrated before it was refused"
    assert deployments(data) == [("d-1",)]


@pytest.mark.parametrize("content", [b"", b"no export", gzip.compress(b"{}\n")], ids=["empty", "text", "packed"])
def test_what_is_no_export_makes_no_database(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused before anything is opened."""
    (tmp_path / "file").write_bytes(content)

    assert main(["import", str(tmp_path / "file"), *where(tmp_path / "new")]) == 2
    assert main(["import", str(tmp_path / "nowhere"), *where(tmp_path / "new")]) == 2
    assert capsys.readouterr().err.startswith("collector: This is no export of a collector:")
    assert not (tmp_path / "new").exists()


def test_a_terminal_shows_how_far_it_is() -> None:
    """A bar with the table and its rows; where there is no terminal, nothing."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        with progress(stream) as show:
            show(TableHead("violations", ("id",), 1_000), 500)

    assert "violations" in terminal.getvalue()
    assert "500/1000" in terminal.getvalue()
    assert pipe.getvalue() == ""


def test_a_backup_takes_the_place_of_the_database(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The old one is kept under a name that is printed; while a service runs it is not replaced."""
    backup = tmp_path / "backup.db"
    assert main(["backup", str(backup), *where(data)]) == 0
    execute(data / "collector.db", "UPDATE meta SET value = 'd-2' WHERE key = 'deployment_id'")
    with only_one(data):
        assert main(["restore", str(backup), *where(data)]) == 1
    assert "is served by process" in capsys.readouterr().err
    assert deployments(data) == [("d-2",)]

    assert main(["restore", str(backup), *where(data)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"Restored {backup} to {data / 'collector.db'}."
    [aside] = data.glob("collector.db.replaced-*")
    assert second == f"What was there before is {aside}: delete it when it is no longer needed."
    assert deployments(data) == [("d-1",)]
    assert execute(aside, "SELECT value FROM meta WHERE key = 'deployment_id'") == [("d-2",)]


def test_an_older_backup_says_what_it_lacks(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is restored as it is; the next start brings it up to date. A newer one is refused."""
    backup = tmp_path / "backup.db"
    assert main(["backup", str(backup), *where(data)]) == 0
    assert main(["migrate", "--to", migrate.revisions()[-2], *where(data)]) == 0
    older = tmp_path / "older.db"
    shutil.move(data / "collector.db", older)
    assert main(["restore", str(older), *where(tmp_path / "new")]) == 0
    assert "It lacks 1 migrations, which the next start applies." in capsys.readouterr().out
    asyncio.run(migrate.upgrade(f"sqlite:///{tmp_path / 'new' / 'collector.db'}"))
    assert deployments(tmp_path / "new") == [("d-1",)]

    execute(backup, "UPDATE alembic_version SET version_num = '9999'")
    assert main(["restore", str(backup), *where(tmp_path / "new")]) == 1
    assert "is at migration '9999', which this version does not know" in capsys.readouterr().err


def test_postgresql_has_tools_of_its_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked to restore into PostgreSQL the command names what does that."""
    monkeypatch.setenv("CODER_PG_CONNECTION_URL", "postgres://localhost/x")

    assert main(["restore", "backup.db"]) == 2
    assert "PostgreSQL is restored with pg_restore" in capsys.readouterr().err

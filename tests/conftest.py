"""Fixtures of every test: the databases are real."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import structlog
from hypothesis import settings
from sqlalchemy import make_url

from collector.persist.engine import Store, open_store
from collector.persist.migrate import upgrade
from tests.examples import examples
from tests.inside import Inside, running, standing_still
from tests.postgres import PostgresServer, start_postgres

pytest_plugins = ["tests.require_all"]

# As the service does. With every local of every frame, which is what structlog prints of itself, an error takes a second.
structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.LogfmtRenderer(bool_as_flag=False)])

IN_MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 4 << 30  # bytes; a container may give 64 MiB

# Memory syncs and unlinks in no time: on a disk that is a fifth of the whole run. A place that was asked for is kept to.
if IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > MEMORY_NEEDED:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))

settings.register_profile("quick", max_examples=examples(100), deadline=None)
settings.load_profile("quick")

# The floor that knows of the kinds of database is tested on both each time.
STORAGE = "persist"
CLUSTER = "cluster"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Above the storage floor one database is enough while working; what runs there again on PostgreSQL is a twin."""
    for item in items:
        floor = item.path.relative_to(Path(__file__).parent).parts[0]
        parameters = getattr(item, "callspec", None)
        if floor != STORAGE and parameters is not None and "postgresql" in parameters.params.values():
            item.add_marker("twin")
        if floor == CLUSTER:
            item.add_marker("cluster")
        if "standing" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)  # the loop that it lives in


def pytest_collection_finish() -> None:
    """Thousands of collected tests live until the end: without this every garbage collection looks through all of them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One real PostgreSQL server a test session; ``fresh_url()`` gives each test a database of its own."""
    with start_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The kind of database: each in turn."""
    return str(request.param)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> str:
    """An empty database, once of each kind."""
    if database == "sqlite":
        return f"sqlite:///{tmp_path / 'collector.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.fresh_url()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy: migrating anew takes longer than most tests do."""
    file = tmp_path_factory.mktemp("migrated") / "collector.db"
    asyncio.run(upgrade(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresServer) -> str:
    """The URL of a migrated PostgreSQL database to copy."""
    url = postgres.fresh_url()
    asyncio.run(upgrade(url))
    return url


@pytest.fixture
def migrated_url(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> str:
    """A migrated database without a row, once of each kind."""
    if database == "sqlite":
        file = shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "collector.db")
        return f"sqlite:///{file}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.fresh_url(copy_of=request.getfixturevalue("migrated_template"))


@pytest.fixture
async def store(migrated_url: str) -> AsyncIterator[Store]:
    """A migrated database, opened, once of each kind."""
    opened = open_store(migrated_url)
    yield opened
    await opened.close()


@pytest.fixture
async def inside(migrated_url: str, tmp_path: Path) -> AsyncIterator[Inside]:
    """A running collector, once on each kind of database."""
    async with running(migrated_url, tmp_path) as collector:
        yield collector


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def standing_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated database for ``standing``, once of each kind."""
    if request.param == "sqlite":
        file = shutil.copy(request.getfixturevalue("migrated_file"), tmp_path_factory.mktemp("standing") / "collector.db")
        return f"sqlite:///{file}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.fresh_url(copy_of=request.getfixturevalue("migrated_template"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def standing(standing_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Inside]:
    """A running collector, once on each kind of database, which all tests share that leave it as it was.

    They ask what an empty one answers, or what it refuses. A start takes longer than a hundred such answers.
    """
    database = make_url(standing_url).database or ""
    data = Path(database).parent if standing_url.startswith("sqlite") else tmp_path_factory.mktemp("standing")
    async with standing_still(standing_url, data) as collector:
        yield collector


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test printed may hold a lone surrogate, on purpose; a report that goes to another process may not."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "replace").decode()) for name, text in report.sections]
    return report

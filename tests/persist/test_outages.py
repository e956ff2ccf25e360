"""What is acknowledged survives a PostgreSQL that hangs, is restarted, or is shared by two who meet on the same rows."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, select

from collector.persist import agentstats, engine, workspaces
from collector.persist.csp import CspRows
from collector.persist.engine import Store, open_store
from collector.persist.migrate import upgrade
from collector.persist.tables import agent_stats, csp_policies, violations
from collector.persist.writer import Writer
from collector.wire.errors import Overloaded
from collector.wire.records import AgentReport, CspIntake, Record, Workspace, WorkspaceBuild
from tests.persist.test_csp_policies import intake
from tests.postgres import PostgresServer, start_postgres
from tests.records import agent_report, workspace
from tests.rollup.rows import add_project

pytestmark = pytest.mark.slow

CLIENTS = 8
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
WRITERS, ROUNDS, TOGETHER = 3, 8, 100  # two rounds of policies: as many as a project may have


@asynccontextmanager
async def writing(store: Store, *, submit_timeout: float = 60.0) -> AsyncIterator[Writer]:
    """A writer of all kinds on ``store``."""
    rows = CspRows()
    stations: Any = {CspIntake: rows.store, AgentReport: agentstats.store, Workspace: workspaces.store}
    writer = Writer(store, stations, queue_limit=10_000, submit_timeout=submit_timeout, ended=rows.ended)
    writer.start()
    try:
        yield writer
    finally:
        await writer.close()


@pytest.fixture
def url(postgres: PostgresServer, migrated_template: str) -> str:
    """A migrated database of its own."""
    return postgres.fresh_url(copy_of=migrated_template)


@pytest.fixture
async def other(url: str) -> AsyncIterator[Store]:
    """It, as somebody else sees it."""
    opened = open_store(url)
    yield opened
    await opened.close()


async def numbers(store: Store) -> Counter[int]:
    """How often each report is stored, by the bytes that are its own."""
    return Counter(await store.read(lambda connection: connection.scalars(select(agent_stats.c.rx_bytes)).all()))


async def test_a_statement_that_hangs_is_ended(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a lock that is never let go each attempt ends by its time-out; afterwards the report is stored, and once."""
    monkeypatch.setattr(engine, "STATEMENT_TIMEOUT_MS", 200)
    store, other = open_store(url), await asyncpg.connect(url)
    try:
        async with writing(store) as writer:
            async with other.transaction():
                await other.execute("LOCK TABLE collector.agents IN ACCESS EXCLUSIVE MODE")
                waiting = asyncio.create_task(writer.submit([agent_report(rx_bytes=1)]))
                async with asyncio.timeout(30):
                    while "statement timeout" not in writer.failure.words:  # noqa: ASYNC110 — the database's to say
                        await asyncio.sleep(0)
                assert not waiting.done()
            async with asyncio.timeout(30):
                assert await waiting == ()
            assert writer.failure.since is None
        assert await numbers(store) == Counter([1])
    finally:
        await store.close()
        await other.close()


async def test_a_restart_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """PostgreSQL goes down and comes back three times under load: who was answered is stored once, who was refused is not."""
    acknowledged: list[int] = []
    refused: list[int] = []
    ended = asyncio.Event()
    fresh = asyncio.Condition()

    async def bring(writer: Writer, client: int) -> None:
        number = client
        while not ended.is_set():
            try:
                await writer.submit([agent_report(agent_id=f"a{client}", report_id=f"r{number}", rx_bytes=number)])
                acknowledged.append(number)
                async with fresh:
                    fresh.notify_all()
            except Overloaded:
                refused.append(number)
            number += CLIENTS

    async def more(count: int) -> None:
        goal = len(acknowledged) + count
        async with asyncio.timeout(60), fresh:
            await fresh.wait_for(lambda: len(acknowledged) >= goal)

    with start_postgres(tmp_path) as server:
        url = server.fresh_url()
        await upgrade(url)
        store = open_store(url, pool_size=4)
        async with writing(store, submit_timeout=0.3) as writer:
            bringing = [asyncio.create_task(bring(writer, client)) for client in range(CLIENTS)]
            for downtime in (0.0, 1.0, 0.0):
                await more(100)
                await asyncio.to_thread(server.stop)
                refusals = len(refused) + (1 if downtime else 0)
                async with asyncio.timeout(60):
                    while len(refused) < refusals:  # noqa: ASYNC110 — the writer's to say
                        await asyncio.sleep(0)
                await asyncio.to_thread(server.start)
                await more(100)
            ended.set()
            await asyncio.gather(*bringing)
        stored = await numbers(store)
        await store.close()

    assert len(acknowledged) >= 600
    assert refused
    assert stored == Counter(acknowledged)


def batches(writer: int, round_: int) -> list[Record]:
    """What every writer brings in a round: the same new violations, policies, agents and workspaces, each in its own order."""
    build = WorkspaceBuild(round_ + 1, "start", job_completed_at=1)
    records: list[Record] = []
    for number in range(TOGETHER):
        name = f"{round_}-{number}"
        policy = f"img-src host-{round_}-{(number * 7 + writer) % TOGETHER}.example"
        records.append(intake(TOGETHER * round_ + number, policy))
        records.append(agent_report(agent_id=name, report_id=f"{writer}-{name}"))
        records.append(workspace(build, id=f"w{name}"))
        records.append(workspace(build, id=f"w{number}"))
    # Together, and kind by kind: writers that have met on violations no longer meet on agents.
    kinds = (Record, CspIntake, AgentReport, Workspace)[round_ % 4]
    records = [record for record in records if isinstance(record, kinds)]
    random.Random(writer * 1_000 + round_).shuffle(records)
    return records


async def submit_all(writer: Writer, records: Sequence[Record]) -> None:
    """Each record as a submission of its own, all at once: they are committed in batches, in this order."""
    await asyncio.gather(*(writer.submit([record]) for record in records))


async def deadlocked(postgres: PostgresServer, url: str) -> int:
    """How many transactions the server has ended because they waited for each other."""
    database = url.rpartition("/")[2].partition("?")[0]
    query = f"SELECT pg_stat_get_db_deadlocks(oid) FROM pg_database WHERE datname = '{database}'"
    return int(await asyncio.to_thread(postgres.psql, database, query))


@asynccontextmanager
async def writers(url: str) -> AsyncIterator[list[Writer]]:
    """Some of them, each with connections of its own."""
    async with AsyncExitStack() as stack:
        stores = [open_store(url) for _ in range(WRITERS)]
        for store in stores:
            stack.push_async_callback(store.close)
        await stores[0].transact(add_project)
        yield [await stack.enter_async_context(writing(store)) for store in stores]


async def test_writers_that_meet_on_the_same_rows_do_not_deadlock(postgres: PostgresServer, url: str, other: Store) -> None:
    """Several that bring the same new rows at the same time in different orders: none waits for another in a circle."""
    async with writers(url) as all_:
        for round_ in range(ROUNDS):
            await asyncio.gather(*(submit_all(writer, batches(n, round_)) for n, writer in enumerate(all_)))

    def counted(connection: Connection) -> list[list[int]]:
        return [list(connection.scalars(select(c).distinct())) for c in (csp_policies.c.count, violations.c.count)]

    assert await other.read(counted) == [[WRITERS], [WRITERS]]
    assert (await numbers(other)).total() == WRITERS * ROUNDS // 2 * TOGETHER
    assert await deadlocked(postgres, url) == 0


async def test_writers_that_meet_on_policies_do_not_deadlock(postgres: PostgresServer, url: str, other: Store) -> None:
    """Two that bring the same new policies in opposite orders, and are at it at once: neither holds what the other needs."""
    policies = [f"img-src host-{number}.example" for number in range(TOGETHER)]
    # Of different directives: they meet on policies alone.
    forth = [intake(number, policy) for number, policy in enumerate(policies)]
    back = [intake(number, policy, directive="font-src") for number, policy in enumerate(reversed(policies))]
    third = await asyncpg.connect(url, server_settings={"search_path": "collector"})
    async with writers(url) as (one, two, _):
        held = third.transaction()
        await held.start()
        # Somebody holds the policy in the middle until both wait, so that they are there at the same time.
        row = 1, forth[TOGETHER // 2].reports[0].policy_hash, "", 1, 0, 0
        await third.execute("INSERT INTO csp_policies VALUES ($1, $2, $3, $4, $5, $6)", *row)
        both = asyncio.gather(one.submit(forth), two.submit(back))
        async with asyncio.timeout(30):
            while await other.read(lambda connection: connection.exec_driver_sql(WAITING).scalar()) != 2:
                pass
        await held.rollback()
        await both
    await third.close()

    counts = await other.read(lambda connection: connection.scalars(select(csp_policies.c.count)).all())
    assert counts == [2] * TOGETHER
    assert await deadlocked(postgres, url) == 0

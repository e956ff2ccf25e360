"""Agent reports as rows, on both databases."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from collector.persist import agentstats
from collector.persist.engine import Store
from collector.persist.tables import agent_report_ids, agent_stats, agents
from collector.wire.records import AgentReport
from tests.records import NOW, agent_report


async def stored(store: Store, *reports: AgentReport) -> None:
    """Store ``reports`` in one transaction."""
    await store.transact(lambda connection: agentstats.store(connection, reports))


async def column(store: Store, wanted: Any) -> list[Any]:
    """The values of one column of the reports, in the order of their ids."""
    query = select(wanted).join_from(agent_stats, agents, agents.c.id == agent_stats.c.agent).order_by(agent_stats.c.id)
    return list(await store.read(lambda connection: connection.execute(query).scalars().all()))


async def the_agent(store: Store) -> Any:
    """The row of the only agent."""
    return await store.read(lambda connection: connection.execute(select(agents)).one())


async def test_a_report_is_kept_whole(store: Store) -> None:
    """Every number of a report stands in the column of its name."""
    report = agent_report(
        collected_at=NOW - 1_500,
        connection_count=1,
        connection_median_latency_ms=2.5,
        rx_packets=3,
        rx_bytes=2**63 - 1,
        tx_packets=5,
        tx_bytes=6,
        session_count_vscode=7,
        session_count_jetbrains=8,
        session_count_reconnecting_pty=9,
        session_count_ssh=10,
    )
    await stored(store, report)

    row = await store.read(lambda connection: connection.execute(select(agent_stats)).one())
    kept = {name: value for name, value in row._mapping.items() if name not in {"id", "agent"}}
    assert kept == {name: getattr(report, name) for name in kept}
    agent = await the_agent(store)
    assert row.agent == agent.id
    about = {name: value for name, value in agent._mapping.items() if name not in {"id", "last_seen"}}
    assert about == {name: getattr(report, name) for name in about}


async def test_the_later_row_is_the_newer_one(store: Store) -> None:
    """Rows get their ids in the order given, whatever the order of their agents."""
    await stored(store, *(agent_report(agent_id=agent, rx_bytes=n) for n, agent in enumerate(["b", "a", "c", "a", "b"])))

    assert await column(store, agent_stats.c.rx_bytes) == [0, 1, 2, 3, 4]
    assert await column(store, agents.c.agent_id) == ["b", "a", "c", "a", "b"]


async def test_an_id_counts_once_within_a_batch(store: Store) -> None:
    """The first of two reports with one id is kept; a report without an id is never a repetition."""
    first = agent_report(report_id="r", rx_bytes=1)
    await stored(store, first, agent_report(report_id="r", rx_bytes=2), agent_report(rx_bytes=3), agent_report(rx_bytes=3))

    assert await column(store, agent_stats.c.rx_bytes) == [1, 3, 3]


async def test_an_id_counts_once_across_batches(store: Store) -> None:
    """A batch sent again changes nothing, and what is new in it is stored."""
    batch = [agent_report(report_id=f"r{n}", rx_bytes=n) for n in range(3)]
    await stored(store, *batch)
    await stored(store, *batch, agent_report(report_id="r3", rx_bytes=3))
    await stored(store, *batch)

    assert await column(store, agent_stats.c.rx_bytes) == [0, 1, 2, 3]


async def test_a_repetition_brings_no_old_name_back(store: Store) -> None:
    """A report delivered a second time, much later, leaves its agent alone too."""
    old = agent_report(report_id="r", workspace_name="old")
    await stored(store, old)
    await stored(store, agent_report(workspace_name="new", received_at=NOW + 1))
    await stored(store, agent_report(report_id="r", workspace_name="old", received_at=NOW + 2))

    assert (await the_agent(store)).workspace_name == "new"


async def test_an_id_is_its_deployments_own(store: Store) -> None:
    """Two deployments may use the same ids, for reports and for agents."""
    await stored(store, agent_report(report_id="r", deployment="one"), agent_report(report_id="r", deployment="two"))

    assert await column(store, agents.c.deployment) == ["one", "two"]


async def test_of_an_id_only_sixteen_bytes_are_kept(store: Store) -> None:
    """How long an id is, is the sender's choice; how much is stored, is ours."""
    await stored(store, agent_report(report_id="r" * 256))

    assert len(await store.read(lambda connection: connection.execute(select(agent_report_ids.c.report_id)).scalar_one())) == 16


async def test_a_newer_name_wins_and_silence_keeps_it(store: Store) -> None:
    """Names follow the newest report that has one, also within a batch; the ids follow the newest report."""
    await stored(
        store,
        agent_report(agent_name="a", username="grace", template_id="t1"),
        agent_report(agent_name="b", username=None, template_id="t2"),
    )
    agent = await the_agent(store)
    assert (agent.agent_name, agent.username, agent.template_id) == ("b", "grace", "t2")

    await stored(store, agent_report(agent_name=None, username="ada", received_at=NOW + 1))
    agent = await the_agent(store)
    assert (agent.agent_name, agent.username, agent.last_seen) == ("b", "ada", NOW + 1)


async def test_a_batch_that_comes_late_changes_no_name(store: Store) -> None:
    """An older report fills in what nobody has said since, and no more."""
    await stored(store, agent_report(agent_name="new", username=None, received_at=NOW))
    await stored(store, agent_report(agent_name="old", username="grace", template_id="old", received_at=NOW - 1))

    agent = await the_agent(store)
    assert (agent.agent_name, agent.username, agent.last_seen) == ("new", "grace", NOW)
    assert agent.template_id == agent_report().template_id


async def test_no_reports_are_fine(store: Store) -> None:
    """An empty batch stores nothing."""
    await stored(store)

    assert await store.read(lambda connection: connection.execute(select(func.count()).select_from(agents)).scalar_one()) == 0

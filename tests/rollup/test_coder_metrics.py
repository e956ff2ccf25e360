"""What a moment under Coder's names is made of, on both databases."""

from __future__ import annotations

from collector.persist import agentstats, workspaces
from collector.persist.engine import Store
from collector.rollup.coder_metrics import (
    CONNECTED_MS,
    HEARD_OF_MS,
    MINUTE_MS,
    BuildTotal,
    CoderMoment,
    LatestBuild,
    Newest,
    TemplateUse,
    coder_moment,
)
from collector.wire.records import AgentReport, Workspace
from tests.records import DEPLOYMENT, NOW, agent_report, workspace
from tests.rollup.test_workspaces import TRUTH, build


async def moment_of(
    store: Store,
    reports: list[AgentReport],
    some: list[Workspace] | None = None,
    *,
    deployment: str = DEPLOYMENT,
    now: int = NOW,
) -> CoderMoment:
    """The moment at ``now`` after ``reports`` and ``some`` workspaces."""
    await store.transact(lambda connection: agentstats.store(connection, reports))
    await store.transact(lambda connection: workspaces.store(connection, some or []))
    return await store.read(lambda connection: coder_moment(connection, deployment, now=now))


async def test_bytes_are_those_of_the_minute(store: Store) -> None:
    """All reports of the minute before are added up, and none of an earlier one."""
    reports = [
        agent_report(received_at=NOW - MINUTE_MS, rx_bytes=1_000, tx_bytes=1_000),
        agent_report(received_at=NOW - MINUTE_MS + 1, rx_bytes=3, tx_bytes=5),
        agent_report(received_at=NOW, rx_bytes=4, tx_bytes=6),
    ]
    (agent,) = (await moment_of(store, reports)).agents
    assert (agent.rx_bytes, agent.tx_bytes) == (7, 11)


async def test_two_absurd_reports_stop_nothing(store: Store) -> None:
    """The largest numbers that can be sent add up to no error."""
    (agent,) = (await moment_of(store, [agent_report(rx_bytes=2**63 - 1)] * 2)).agents
    assert agent.rx_bytes == 2.0**64


async def test_gauges_are_those_of_the_newest_report_with_latency(store: Store) -> None:
    """A later report that reached no peer says nothing of connections and sessions."""
    seen = {"connection_median_latency_ms": 12.5, "connection_count": 3, "session_count_ssh": 2, "session_count_vscode": 1}
    reports = [
        agent_report(received_at=NOW - 40_000, connection_median_latency_ms=99.0),
        agent_report(received_at=NOW - 20_000, **seen),
        agent_report(received_at=NOW - 10_000, connection_count=7),
    ]
    (agent,) = (await moment_of(store, reports)).agents
    assert agent.newest == Newest(3, 0.0125, (1, 0, 0, 2))


async def test_silence_shows(store: Store) -> None:
    """An agent that falls silent has no numbers after a minute, is disconnected after two, and gone after fifteen."""
    reports = [agent_report(received_at=NOW, connection_median_latency_ms=1.0)]
    (agent,) = (await moment_of(store, reports)).agents
    assert agent.connected
    assert agent.newest is not None

    (silent,) = (await moment_of(store, [], now=NOW + MINUTE_MS)).agents
    assert (silent.connected, silent.rx_bytes, silent.newest) == (True, None, None)
    (away,) = (await moment_of(store, [], now=NOW + CONNECTED_MS)).agents
    assert not away.connected
    assert (await moment_of(store, [], now=NOW + HEARD_OF_MS)).agents == ()


async def test_what_has_no_name_is_told_by_its_id(store: Store) -> None:
    """No two agents are taken for one because nobody says what they are called."""
    nameless: dict[str, None] = dict.fromkeys(("agent_name", "username", "workspace_name", "template_name"))
    (agent,) = (await moment_of(store, [agent_report(**nameless)])).agents
    report = agent_report()
    names = agent.agent_name, agent.username, agent.workspace_name, agent.template_name
    assert names == (report.agent_id, report.user_id, report.workspace_id, report.template_id)


async def test_another_deployment_is_none_of_it(store: Store) -> None:
    """Agents and workspaces of another deployment are not in the moment."""
    assert await moment_of(store, [agent_report()], [workspace(build("start", "SD"))], deployment="other") == CoderMoment()


async def test_the_status_is_that_of_the_job(store: Store) -> None:
    """As Coder computes it from the columns of the job, which the truth table of builds names for most rows."""
    named = {row.job: status for status, row in TRUTH.items()}
    expected = {**named, "SDE": "failed", "SCDE": "failed", "SCE": "failed", "SE": "failed", "SCD": "canceled"}
    expected |= {"CD": "canceled", "DE": "failed", "CDE": "failed"}
    some = [workspace(build("start", job), id=f"w-{job}", template_id=f"t-{job}") for job in expected]
    builds = (await moment_of(store, [], some)).builds
    assert {found.template: found.status for found in builds} == {f"t-{job}": status for job, status in expected.items()}


async def test_builds_have_the_names_that_agents_know(store: Store) -> None:
    """Owner and template of a workspace are called what its agents call them; deleted ones are not counted."""
    gone = workspace(build("start", "SD"), id="gone", deleted=True)
    moment = await moment_of(store, [agent_report()], [workspace(build("start", "SD")), gone])
    assert moment.builds == {LatestBuild("succeeded", "docker", "grace", "start"): 1}
    assert BuildTotal("grace", "billing", "docker", "start", succeeded=True, builds=1) in moment.built


async def test_use_is_counted_in_minutes_of_users(store: Store) -> None:
    """Two reports of a minute are one minute of use; a user without a session uses nothing."""
    open_ = {"session_count_vscode": 1}
    reports = [
        agent_report(received_at=NOW - 1_000, **open_),
        agent_report(received_at=NOW - 2_000, **open_),
        agent_report(received_at=NOW - 2 * MINUTE_MS, session_count_vscode=2, session_count_ssh=1),
        agent_report(received_at=NOW - 10 * MINUTE_MS, **open_),
        agent_report(agent_id="idle", user_id="idle"),
    ]
    # NOW begins a minute, so the first two are in the one before.
    assert (await moment_of(store, reports)).templates == (TemplateUse("docker", 1, (120, 0, 0, 60)),)

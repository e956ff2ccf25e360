"""The truth table of workspace builds, on both databases."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from collector.persist import workspaces
from collector.persist.engine import Store
from collector.rollup.workspaces import WorkspaceCounts, workspace_counts
from collector.wire.records import Workspace, WorkspaceBuild
from tests.records import DEPLOYMENT, NOW, workspace


class Row(NamedTuple):
    """One row of the table: which columns the job has (S started, C canceled, D completed, E error), and the states."""

    job: str
    start: str
    stop: str
    delete: str


TRUTH = {
    "pending": Row("", "pending", "pending", "pending"),
    "running": Row("S", "building", "building", "building"),
    "canceling": Row("SC", "", "", ""),
    "succeeded": Row("SD", "running", "stopped", ""),
    "failed": Row("SDE", "failed", "failed", "failed"),
    "failed while it was canceled": Row("SCDE", "failed", "failed", "failed"),
    "failed, canceled, not completed": Row("SCE", "failed", "failed", "failed"),
    "error of a job still running": Row("SE", "building", "building", "building"),
    "canceled cleanly": Row("SCD", "", "", ""),
    "canceled in the queue": Row("CD", "pending", "pending", "pending"),
    "failed in the queue": Row("DE", "pending failed", "pending failed", "pending failed"),
    "failed in the queue, canceled": Row("CDE", "pending failed", "pending failed", "pending failed"),
}


def build(transition: str, job: str, number: int = 1) -> WorkspaceBuild:
    """A build whose job has the columns that ``job`` names."""
    return WorkspaceBuild(
        build_number=number,
        transition=transition,
        created_at=NOW - 60_000,
        job_started_at=NOW - 50_000 if "S" in job else None,
        job_canceled_at=NOW - 40_000 if "C" in job else None,
        job_completed_at=NOW - 30_000 if "D" in job else None,
        job_error="exit status 1" if "E" in job else None,
    )


async def counts_of(store: Store, *some: Workspace, deployment: str = DEPLOYMENT) -> WorkspaceCounts:
    """The counts that ``some`` workspaces make."""
    await store.transact(lambda connection: workspaces.store(connection, some))
    return await store.read(lambda connection: workspace_counts(connection, deployment))


def counts(*states: str) -> WorkspaceCounts:
    """One workspace for each of ``states``."""
    return WorkspaceCounts(**{state: states.count(state) for state in WorkspaceCounts.__struct_fields__})


@pytest.mark.parametrize("transition", ["start", "stop", "delete"])
async def test_truth_table(store: Store, transition: str) -> None:
    """Each combination of job columns and transition counts as Coder's queries count it; each has a deployment to itself."""
    found = {
        status: await counts_of(store, workspace(build(transition, row.job), deployment=status), deployment=status)
        for status, row in TRUTH.items()
    }

    assert found == {status: counts(*getattr(row, transition).split()) for status, row in TRUTH.items()}


async def test_a_workspace_without_a_build_is_pending(store: Store) -> None:
    """It has no job that could have begun."""
    assert await counts_of(store, workspace(None)) == counts("pending")


async def test_a_deleted_workspace_is_in_no_state(store: Store) -> None:
    """Whatever its newest build did."""
    assert await counts_of(store, workspace(build("start", "SD"), deleted=True)) == counts()


async def test_only_the_newest_build_counts(store: Store) -> None:
    """A stop after a start is stopped, also when the start is told afterwards."""
    stopped = await counts_of(store, workspace(build("start", "SD", 1)), workspace(build("stop", "SD", 2)))
    assert stopped == counts("stopped")
    assert await counts_of(store, workspace(build("start", "SD", 1))) == counts("stopped")


async def test_a_fleet(store: Store) -> None:
    """Every workspace is judged by itself, other deployments are not counted, and the sum may differ from their number."""
    jobs = [("start", "SD"), ("start", "SD"), ("start", "S"), ("stop", "SD"), ("delete", "SD"), ("start", "DE"), ("stop", "")]
    fleet = [workspace(build(transition, job), id=f"w{n}") for n, (transition, job) in enumerate(jobs)]
    other = [workspace(build("start", "SD"), id="w0", deployment="other")]

    found = await counts_of(store, *fleet, *other)
    assert found == counts("running", "running", "building", "stopped", "pending", "failed", "pending")


async def test_no_workspaces(store: Store) -> None:
    """Five zeros."""
    assert await counts_of(store) == counts()

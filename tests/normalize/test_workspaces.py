"""Workspaces: bodies of POST /ingest/workspaces."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.normalize.workspaces import workspaces
from collector.persist import workspaces as rows_of_workspaces
from collector.persist.engine import Store
from collector.wire.errors import InvalidReport, TooLarge
from collector.wire.records import Workspace, WorkspaceBuild
from tests.examples import examples

NOW = 1_768_384_800_000

JOB: dict[str, Any] = {
    "started_at": "2026-01-14T09:50:01Z",
    "canceled_at": None,
    "completed_at": "2026-01-14T09:51:00.25Z",
    "error": "terraform apply: exit status 1",
}
BUILD: dict[str, Any] = {"build_number": 7, "transition": "start", "created_at": "2026-01-14T09:50:00Z", "job": JOB}
ROW: dict[str, Any] = {
    "id": "workspace-1",
    "name": "billing",
    "owner_id": "user-1",
    "template_id": "template-1",
    "deleted": False,
    "latest_build": BUILD,
}


def judged(*rows: Any) -> tuple[list[tuple[int, Workspace]], list[tuple[int, str]]]:
    """What becomes of a body of ``rows``."""
    found, refusals = workspaces(json.dumps(rows).encode(), deployment="d", received_at=NOW)
    return found, [(refusal.index, refusal.error) for refusal in refusals]


def taken(row: Any) -> Workspace:
    """The workspace made of the one ``row``."""
    found, refusals = judged(row)
    assert refusals == []
    return found[0][1]


def build_of(**changes: Any) -> WorkspaceBuild:
    """The build made of the build above with ``changes``."""
    build = taken(ROW | {"latest_build": BUILD | changes}).latest_build
    assert build is not None
    return build


def refused(row: Any) -> str:
    """Why ``row`` is not taken."""
    found, refusals = judged(row)
    assert found == []
    return refusals[0][1]


def test_a_whole_workspace() -> None:
    """Every field lands in its place, the job's columns as they are."""
    assert taken(ROW) == Workspace(
        deployment="d",
        received_at=NOW,
        id="workspace-1",
        name="billing",
        owner_id="user-1",
        template_id="template-1",
        deleted=False,
        latest_build=WorkspaceBuild(
            build_number=7,
            transition="start",
            created_at=1_768_384_200_000,
            job_started_at=1_768_384_201_000,
            job_canceled_at=None,
            job_completed_at=1_768_384_260_250,
            job_error="terraform apply: exit status 1",
        ),
    )


def test_a_workspace_before_its_first_build() -> None:
    """``latest_build`` is null then."""
    assert taken(ROW | {"latest_build": None}).latest_build is None


@pytest.mark.parametrize("job", [None, {}, {"started_at": None, "canceled_at": None, "completed_at": None, "error": None}])
def test_a_queued_build_has_no_times(job: Any) -> None:
    """A job that nobody took, or that is not there, is all null."""
    build = build_of(job=job)

    assert (build.job_started_at, build.job_canceled_at, build.job_completed_at, build.job_error) == (None, None, None, None)


def test_no_time_and_no_error_as_go_writes_them() -> None:
    """The zero time and the empty error are none, or a job that ended well would count as canceled and failed."""
    build = build_of(job=JOB | {"canceled_at": "0001-01-01T00:00:00Z", "error": ""})

    assert (build.job_canceled_at, build.job_error) == (None, None)


def test_an_error_stays_an_error() -> None:
    """It is cut and cleaned, but never to nothing: it decides whether the build counts as failed."""
    assert build_of(job=JOB | {"error": "line one\r\nline\x00two" + "x" * 5_000}).job_error == "line one line two" + "x" * 1_983
    assert build_of(job=JOB | {"error": "\x00\n"}).job_error == "error"


def test_a_name_of_nothing_is_the_id() -> None:
    """A workspace is never without a name to show."""
    assert taken(ROW | {"name": "\x00"}).name == "workspace-1"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ""}, "id"),
        ({"owner_id": "a\x00"}, "owner_id"),
        ({"template_id": None}, "template_id"),
        ({"name": None}, "name"),
        ({"deleted": 0}, "deleted"),
        ({"latest_build": BUILD | {"build_number": -1}}, "latest_build.build_number"),
        ({"latest_build": BUILD | {"build_number": 2**63}}, "latest_build.build_number"),
        ({"latest_build": BUILD | {"transition": "restart"}}, "latest_build.transition"),
        ({"latest_build": BUILD | {"job": JOB | {"started_at": "soon"}}}, "latest_build.job.started_at"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], field: str) -> None:
    """The reason begins with the path of the field."""
    assert refused(ROW | changes).startswith(f"{field}: ")


@pytest.mark.parametrize("field", ["id", "name", "owner_id", "template_id", "deleted"])
def test_a_missing_field_is_named(field: str) -> None:
    """Whoever forgot a field reads which one."""
    assert f"`{field}`" in refused({key: value for key, value in ROW.items() if key != field})


def test_rows_are_judged_one_by_one() -> None:
    """A wrong row is refused under its own index and takes no other with it."""
    found, refusals = judged(ROW, None, ROW | {"id": "workspace-2"})

    assert [(index, workspace.id) for index, workspace in found] == [(0, "workspace-1"), (2, "workspace-2")]
    assert [index for index, _ in refusals] == [1]


TEXT = st.text(st.characters(), max_size=300)
TIME = st.none() | st.datetimes().map(lambda moment: f"{moment.isoformat()}-14:00") | TEXT
JOBS = st.fixed_dictionaries(
    {}, optional={"error": TEXT | st.none()} | dict.fromkeys(("started_at", "canceled_at", "completed_at"), TIME)
)
BUILDS = st.fixed_dictionaries(
    {"build_number": st.integers(-1, 2**63), "transition": st.sampled_from(["start", "stop", "delete", "", None])},
    optional={"created_at": TIME, "job": JOBS | st.none()},
)
ROWS = st.fixed_dictionaries(
    {"id": st.just("w") | TEXT, "name": TEXT, "owner_id": st.just("u"), "template_id": st.just("t"), "deleted": st.booleans()},
    optional={"latest_build": BUILDS | st.none()},
)


@given(body=st.binary(max_size=200) | ROWS.map(lambda row: json.dumps(row).encode()))
def test_only_two_errors_escape(body: bytes) -> None:
    """Whatever arrives, the door can answer it."""
    with contextlib.suppress(InvalidReport, TooLarge):
        workspaces(body, deployment="d", received_at=NOW)


@given(rows=st.lists(ROWS, min_size=1, max_size=10))
@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_workspace_stores(store: Store, rows: list[Any]) -> None:
    """No workspace that was accepted here is one that a database refuses, and no row is lost."""
    found, refusals = judged(*rows)

    assert sorted(index for index, _ in [*found, *refusals]) == list(range(len(rows)))
    await store.transact(lambda connection: rows_of_workspaces.store(connection, [workspace for _, workspace in found]))

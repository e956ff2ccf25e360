"""Workspaces as Coder servers list them, and what is counted of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.normalize.workspace_groups import MAX_GROUPS, PREBUILDS_USER, workspace_groups, workspaces_page
from collector.wire.errors import InvalidReport
from collector.wire.workspace_groups import GroupKey, WorkspaceGroup
from tests.examples import examples
from tests.outbound.coder import workspace


def groups(*rows: dict[str, Any]) -> tuple[WorkspaceGroup, ...]:
    """The groups of a list that has only these."""
    page = workspaces_page(msgspec.json.encode({"workspaces": rows, "count": len(rows)}))
    return workspace_groups(page.workspaces or [])


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", "pending"),
        ("starting", "building"),
        ("stopping", "building"),
        ("deleting", "building"),
        ("running", "running"),
        ("stopped", "stopped"),
        ("failed", "failed"),
        ("canceled", None),
        ("canceling", None),
        ("brand new", None),
    ],
)
def test_states(status: str, state: str | None) -> None:
    """They are those of the stats; cancelled ones are in none, and in the total all the same."""
    (group,) = groups(workspace(1, status))

    counted = {name: getattr(group, name) for name in ("pending", "building", "running", "failed", "stopped")}
    assert counted == {name: int(name == state) for name in counted}
    assert group.total == 1


def test_prebuilt_is_what_nobody_has_claimed() -> None:
    """By the member for it, and on servers without it by the user that they let prebuilt workspaces belong to."""
    found = groups(
        workspace(1, is_prebuild=True),
        workspace(2, owner_id=PREBUILDS_USER),
        workspace(3, owner_id=PREBUILDS_USER, is_prebuild=False),
        workspace(4),
    )

    assert [(group.key.prebuilt, group.total) for group in found] == [(False, 2), (True, 2)]


def test_a_workspace_on_two_pages_counts_once() -> None:
    """A list is read while it changes."""
    (group,) = groups(workspace(1, "starting"), workspace(2), workspace(1, "running"))

    assert (group.total, group.running, group.building) == (2, 2, 0)


def test_groups_are_bounded() -> None:
    """The largest keep their names, all others are one, and none is lost."""
    few = [workspace(number, template_name=f"t{number}", is_prebuild=number % 2 == 0) for number in range(MAX_GROUPS + 50)]
    found = groups(*few, *(workspace(10_000 + number) for number in range(20)))

    assert len(found) <= MAX_GROUPS + 2
    assert sum(group.total for group in found) == MAX_GROUPS + 70
    assert {group.total for group in found if group.key == GroupKey("coder", "docker", False)} == {20}
    assert {group.key.prebuilt for group in found if not group.key.template} == {False, True}


def test_names_are_one_line() -> None:
    """They become labels; without a name the id stands for it."""
    (first, second) = groups(workspace(1, template_name="a\nb\x00"), workspace(2, template_name="", template_id="an id"))

    assert (first.key.template, second.key.template) == ("a b", "an id")


_ANY: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just({"status": 5}) | st.just([])
)
_CHANGES = st.dictionaries(st.sampled_from(list(workspace(1))), _ANY, max_size=3)
_ROWS = st.lists(_CHANGES.map(lambda changes: workspace(1, **changes)), max_size=3)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary() | st.builds(lambda rows: msgspec.json.encode({"workspaces": rows}), _ROWS))
def test_any_body_is_a_page_or_is_refused(body: bytes) -> None:
    """Nothing else is raised, and what is counted is what is there."""
    try:
        page = workspaces_page(body)
    except InvalidReport:
        return
    rows = page.workspaces or []
    found = workspace_groups(rows)
    assert sum(group.total for group in found) == len({row.id for row in rows})
    assert all("\x00" not in group.key.template + group.key.organization for group in found)

"""The workspaces that a Coder server lists -> how many there are of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from collector.normalize.rows import name
from collector.wire.errors import InvalidReport
from collector.wire.workspace_groups import GroupKey, WorkspaceGroup, WorkspaceRow, WorkspacesPage

MAX_GROUPS = 100  # of a deployment, the largest; all others are one more, and one of prebuilt workspaces
PREBUILDS_USER = "c42fdf75-3097-471c-8c33-fb52454d81c0"  # to whom Coder lets them belong until they are claimed
OTHERS = ""

STATES: Mapping[str, str] = {
    "pending": "pending",
    "starting": "building",
    "stopping": "building",
    "deleting": "building",
    "running": "running",
    "failed": "failed",
    "stopped": "stopped",
}
_PAGE = msgspec.json.Decoder(WorkspacesPage)


def workspaces_page(body: bytes) -> WorkspacesPage:
    """The page in an answer of /api/v2/workspaces.

    Raises:
        InvalidReport: it is no such answer.
    """
    try:
        return _PAGE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidReport("The answer is not what a Coder server says.", type(error).__name__) from error


def workspace_groups(rows: Iterable[WorkspaceRow]) -> tuple[WorkspaceGroup, ...]:
    """The groups of ``rows``, sorted by their keys; a workspace that is there twice counts once, as it was last."""
    counts: dict[GroupKey, Counter[str]] = {}
    for row in {row.id: row for row in rows}.values():
        group = counts.setdefault(_key(row), Counter())
        group["total"] += 1
        group[STATES.get(row.latest_build.status, "none")] += 1
    return tuple(_group(key, counted) for key, counted in sorted(_bounded(counts).items()))


def _key(row: WorkspaceRow) -> GroupKey:
    prebuilt = row.owner_id == PREBUILDS_USER if row.is_prebuild is None else row.is_prebuild
    organization = name(row.organization_name) or name(row.organization_id) or "unknown"
    return GroupKey(organization, name(row.template_name) or name(row.template_id) or "unknown", prebuilt)


def _bounded(counts: Mapping[GroupKey, Counter[str]]) -> Mapping[GroupKey, Counter[str]]:
    if len(counts) <= MAX_GROUPS:
        return counts
    largest = sorted(counts, key=lambda key: (-counts[key]["total"], key))
    kept = {key: counts[key] for key in largest[:MAX_GROUPS]}
    for key in largest[MAX_GROUPS:]:
        kept.setdefault(GroupKey(OTHERS, OTHERS, key.prebuilt), Counter()).update(counts[key])
    return kept


def _group(key: GroupKey, counted: Counter[str]) -> WorkspaceGroup:
    return WorkspaceGroup(
        key=key,
        pending=counted["pending"],
        building=counted["building"],
        running=counted["running"],
        failed=counted["failed"],
        stopped=counted["stopped"],
        total=counted["total"],
    )

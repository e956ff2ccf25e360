"""Agent reports -> rows: one a report, one an agent, and one an id that must not count twice."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, Insert, LargeBinary, Text, bindparam, case, exists, func, select

from collector.persist.engine import insert
from collector.persist.statements import Statement
from collector.persist.tables import agent_report_ids, agent_stats, agents
from collector.wire.records import AgentReport

_IDS = ("workspace_id", "user_id", "template_id")
_NAMES = ("agent_name", "workspace_name", "username", "template_name")
_STATS = tuple(column.name for column in agent_stats.columns if column.name not in {"id", "agent"})

# A statement's parameter must not bear the name of a column that the statement sets.
_PARAMETERS = tuple(f"p_{field}" for field in AgentReport.__struct_fields__)

Rows = list[dict[str, Any]]


def store(connection: Connection, reports: Sequence[AgentReport]) -> None:
    """Store ``reports`` in order: of two with one ``received_at``, the later one is the newer.

    A report whose id is known, from an earlier call or from earlier in this one, changes nothing. Two PostgreSQL
    transactions that bring the same id at once: the second gets an IntegrityError and, tried again, finds it known.
    """
    rows = _first_of_each_id(reports)
    if not rows:
        return
    # Upserts in the order of the key, for everyone the same: two PostgreSQL writers that lock rows crosswise deadlock.
    # The sort is stable, so what one agent sent stays in order.
    AGENT.execute_many(connection, sorted(rows, key=itemgetter("p_deployment", "p_agent_id")))
    STATS.execute_many(connection, rows)
    identified = [row for row in rows if row["p_report_id"]]
    if identified:  # last, because the statements before it ask which ids are known
        REPORT_ID.execute_many(connection, sorted(identified, key=itemgetter("p_deployment", "p_report_id")))


def _first_of_each_id(reports: Sequence[AgentReport]) -> Rows:
    seen: set[tuple[str, bytes]] = set()
    rows: Rows = []
    for report in reports:
        row = dict(zip(_PARAMETERS, msgspec.structs.astuple(report), strict=True))
        if report.report_id is not None:
            row["p_report_id"] = blake2b(report.report_id.encode(), digest_size=16).digest()
            if (key := (report.deployment, row["p_report_id"])) in seen:
                continue
            seen.add(key)
        rows.append(row)
    return rows


# The statements select their values from nothing, "unless the id is known": so each is one executemany of constant
# text, however many reports there are, and no list of known ids has to be fetched first.
def _unless_known(*values: Any) -> Any:
    known = exists().where(
        agent_report_ids.c.deployment == bindparam("p_deployment", type_=Text),
        agent_report_ids.c.report_id == bindparam("p_report_id", type_=LargeBinary),
    )
    return select(*values).where(~known)


def _upsert_agent(dialect: str) -> Insert:
    names = ["deployment", "agent_id", *_IDS, *_NAMES, "last_seen"]
    values = [bindparam("p_received_at" if name == "last_seen" else f"p_{name}", type_=agents.c[name].type) for name in names]
    statement = insert(dialect, agents).from_select(names, _unless_known(*values))
    new = statement.excluded
    # A batch that was delivered late must not bring an old name back, but may fill in one that nobody has sent since.
    newer = new.last_seen >= agents.c.last_seen
    changes: dict[str, Any] = {name: case((newer, new[name]), else_=agents.c[name]) for name in [*_IDS, "last_seen"]}
    for name in _NAMES:
        changes[name] = case((newer, func.coalesce(new[name], agents.c[name])), else_=func.coalesce(agents.c[name], new[name]))
    upsert: Insert = statement.on_conflict_do_update(index_elements=["deployment", "agent_id"], set_=changes)
    return upsert


def _insert_stats(dialect: str) -> Insert:
    agent = (
        select(agents.c.id)
        .where(
            agents.c.deployment == bindparam("p_deployment", type_=Text),
            agents.c.agent_id == bindparam("p_agent_id", type_=Text),
        )
        .scalar_subquery()
    )
    values = [bindparam(f"p_{name}", type_=agent_stats.c[name].type) for name in _STATS]
    statement: Insert = insert(dialect, agent_stats).from_select(["agent", *_STATS], _unless_known(agent, *values))
    return statement


def _insert_id(dialect: str) -> Insert:
    names = ["deployment", "report_id", "received_at"]
    values = [bindparam(f"p_{name}", type_=agent_report_ids.c[name].type) for name in names]
    statement: Insert = insert(dialect, agent_report_ids).from_select(names, _unless_known(*values))
    return statement


AGENT = Statement(_upsert_agent)
STATS = Statement(_insert_stats)
REPORT_ID = Statement(_insert_id)

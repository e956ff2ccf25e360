"""What noise rules matched, counted for ever."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from collector.persist.csp_statements import NOISE_RULE


def store(connection: Connection, matches: Mapping[tuple[int, str], int]) -> None:
    """Count ``matches``, by project and rule, at the rule that judged them. A later change of rules moves no count."""
    if matches:
        rows = [{"project_id": project_id, "rule": rule, "count": n} for (project_id, rule), n in sorted(matches.items())]
        NOISE_RULE.execute_many(connection, rows)

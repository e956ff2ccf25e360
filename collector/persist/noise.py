"""What noise rules matched, counted for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection

from collector.persist.csp_statements import NOISE_RULE
from collector.wire.records import CspIntake


def store(connection: Connection, intakes: Sequence[CspIntake]) -> None:
    """Count each report at the rule that judged it. A later change of rules moves no count: they only grow."""
    matches = Counter(
        (intake.project_id, report.noise_rule)
        for intake in intakes
        for report in intake.reports
        if report.noise_rule is not None
    )
    if matches:
        rows = [{"project_id": project_id, "rule": rule, "count": n} for (project_id, rule), n in sorted(matches.items())]
        NOISE_RULE.execute_many(connection, rows)

"""When each project was last heard of, written at some seconds' distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Connection, case, literal_column

from collector.persist.csp_ranks import DAY_MS, Write
from collector.persist.engine import insert
from collector.persist.statements import Statement
from collector.persist.tables import project_activity
from collector.wire.records import CspIntake


class ProjectActivity:
    """When this process last took something in for each project, whatever became of it."""

    def __init__(self) -> None:
        self._unsettled: dict[int, int] = {}
        self._heard: dict[int, int] = {}  # committed, and not written yet

    def note(self, intakes: Sequence[CspIntake]) -> None:
        """These are stored in the transaction under way."""
        for intake in intakes:
            self._unsettled[intake.project_id] = intake.received_at

    def ended(self, *, whole: bool) -> None:
        """The transaction has ended."""
        if whole:
            self._heard |= self._unsettled
        self._unsettled = {}

    async def flush(self, write: Write) -> None:
        """Write what is new, through ``write``. What a failure leaves waits for the next call."""
        heard, self._heard = self._heard, {}
        if not heard:
            return
        try:
            await write(partial(_add, heard=heard))
        except BaseException:
            self._heard = heard | self._heard
            raise


def _add(connection: Connection, heard: Mapping[int, int]) -> None:
    rows = [{"project_id": project, "first_at": at, "last_at": at, "days": 1} for project, at in sorted(heard.items())]
    ACTIVITY.execute_many(connection, rows)


def _activity(dialect: str) -> Any:
    new = insert(dialect, project_activity)
    old, given = project_activity.c, new.excluded
    # What stands in a Statement is no parameter: those are the keys of its rows.
    day, one, none = (literal_column(str(number), BigInteger) for number in (DAY_MS, 1, 0))
    another_day = case((given.last_at // day > old.last_at // day, one), else_=none)
    return new.on_conflict_do_update(
        index_elements=["project_id"],
        set_={
            "first_at": case((given.first_at < old.first_at, given.first_at), else_=old.first_at),
            "last_at": case((given.last_at > old.last_at, given.last_at), else_=old.last_at),
            "days": old.days + another_day,
        },
    )


ACTIVITY = Statement(_activity)

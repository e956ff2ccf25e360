"""How fast the database answers, as /readyz says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from collector.persist.engine import Store
from collector.serve.latency import FAILURE_GOOD_FOR_S, LATENCY, Latency
from tests.inside import running
from tests.serve.state import checks, ready


@dataclass
class Clock:
    """Seconds; each look at it takes ``step`` of them."""

    at: float = 0.0
    step: float = 0.0

    def __call__(self) -> float:
        """The time now."""
        self.at += self.step
        return self.at


class Broken:
    """The store, while it cannot be reached."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.works = False

    async def read(self, work: Callable[[Connection], None]) -> None:
        """Fail as a connection does, until it works."""
        if not self.works:
            raise ConnectionResetError
        await self._store.read(work)


async def test_a_measurement_is_good_for_a_while(store: Store) -> None:
    """Within that time nobody is asked again, after it the database is."""
    clock = Clock(step=0.002)
    latency = Latency(store, clock, good_for=60, threshold=0.015)
    first = await latency.median()
    assert first is not None
    clock.step = 0.004
    assert await latency.median() == first
    clock.at += 60
    second = await latency.median()
    assert second is not None
    assert second > first


async def test_a_failure_is_not_remembered_for_long(store: Store) -> None:
    """A database that does not answer is tried again within a second, however long a good measurement would be good."""
    clock = Clock()
    broken = Broken(store)
    latency = Latency(broken, clock, good_for=600, threshold=0.015)  # type: ignore[arg-type]
    assert await latency.median() is None
    broken.works = True
    assert await latency.median() is None
    clock.at += FAILURE_GOOD_FOR_S
    assert await latency.median() is not None


async def test_a_slow_database_is_said(migrated_url: str, tmp_path: Path) -> None:
    """Over the threshold the check has words for it and passes all the same: the service still does its work."""
    async with running(migrated_url, tmp_path, CODER_HEALTH_CHECK_THRESHOLD_DATABASE="0s") as inside:
        await ready(inside)
        ok, words = (await checks(inside))[1]["database"]
        assert ok
        assert words.endswith(" ms, which is slow")
        inside.app[LATENCY].threshold = 60.0
        assert (await checks(inside))[1]["database"] == (True, words.removesuffix(", which is slow"))


async def test_a_database_that_does_not_answer_is_not_ready(tmp_path: Path) -> None:
    """The check fails and the answer is 503; what the error said is not shown."""
    async with running("sqlite", tmp_path) as inside:
        await ready(inside)
        inside.app[LATENCY]._store, inside.app[LATENCY]._until = Broken(inside.app[LATENCY]._store), 0.0  # type: ignore[assignment]
        status, found = await checks(inside)
        assert (status, found["database"]) == (503, (False, "it does not answer"))

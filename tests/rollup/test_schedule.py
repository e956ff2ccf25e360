"""The schedule: what runs when, what happens when it fails, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import pytest
from structlog.testing import capture_logs

from collector.rollup.schedule import Job, JobFacts, Schedule, retry_delay

NOW = 1_768_384_800_000
HOUR = timedelta(hours=1)


class Runs:
    """A job's work whose every run waits for its outcome: None, or the error to raise."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self) -> None:
        """Begin a run and wait for its outcome."""
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.put_nowait(outcome)
        try:
            await outcome
        finally:
            self.at_once -= 1


async def until(reached: Callable[[], bool]) -> None:
    """Let the loop turn until ``reached``."""
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 - the facts are plain numbers, with no event to wait for
            await asyncio.sleep(0)


def has_run(facts: JobFacts, times: int) -> bool:
    """Whether the job has run that often."""
    return facts.runs == times


@asynccontextmanager
async def scheduled(run: Callable[[], Awaitable[None]], every: timedelta = HOUR) -> AsyncIterator[Schedule]:
    """A started schedule with the one job ``work``."""
    schedule = Schedule([Job("work", run, every)], clock=lambda: NOW)
    schedule.start()
    yield schedule
    await schedule.stop()


async def test_a_job_runs_at_once(runs: Runs) -> None:
    """Not only after its first interval; and its facts say how it went."""
    async with scheduled(runs) as schedule:
        facts = schedule.facts["work"]
        assert (facts.runs, facts.last_success_at, facts.last_duration, facts.last_error) == (0, None, None, None)
        (await runs.begun.get()).set_result(None)
        await until(lambda: facts.runs == 1)

    assert (facts.failures, facts.last_success_at, facts.last_error) == (0, NOW, None)
    assert facts.last_duration is not None
    assert facts.last_duration >= 0


async def test_a_job_runs_again_at_its_interval(runs: Runs) -> None:
    """Again and again."""
    async with scheduled(runs, timedelta(milliseconds=20)):
        for _ in range(3):
            (await runs.begun.get()).set_result(None)


@pytest.fixture
def runs() -> Runs:
    """The work of a job, under the test's control."""
    return Runs()


async def test_a_failed_job_is_tried_again_until_it_works(runs: Runs) -> None:
    """Long before its next interval; the failure is logged with its traceback and forgotten once the job works."""
    with capture_logs() as logs:
        async with scheduled(runs) as schedule:
            facts = schedule.facts["work"]
            for failures, error in enumerate((OSError("no space"), ValueError("odd")), start=1):
                (await runs.begun.get()).set_exception(error)
                await until(partial(has_run, facts, failures))
                assert (facts.failures, facts.failures_in_a_row) == (failures, failures)
                assert facts.last_error == f"{type(error).__name__}: {error}"
                assert facts.last_success_at is None
            (await runs.begun.get()).set_result(None)
            await until(lambda: facts.runs == 3)

    assert (facts.failures, facts.failures_in_a_row, facts.last_error, facts.last_success_at) == (2, 0, None, NOW)
    assert [(entry["job"], entry["exc_info"], entry["retry_in"]) for entry in logs] == [
        ("work", True, "0:00:00.100000"),
        ("work", True, "0:00:00.200000"),
    ]


def test_retries_slow_down_to_one_a_minute() -> None:
    """100 ms doubled each time, and never more than a minute."""
    delays = [retry_delay(n).total_seconds() for n in (1, 2, 3, 9, 10, 11, 1_000_000)]

    assert delays == [0.1, 0.2, 0.4, 25.6, 51.2, 60, 60]


async def test_a_failed_job_never_waits_longer_than_its_interval(runs: Runs) -> None:
    """A failure must not make a frequent job a rare one."""
    with capture_logs() as logs:
        async with scheduled(runs, timedelta(milliseconds=20)):
            for _ in range(2):
                (await runs.begun.get()).set_exception(OSError("no space"))
            (await runs.begun.get()).set_result(None)

    assert [entry["retry_in"] for entry in logs] == ["0:00:00.020000"] * 2


async def test_a_job_never_runs_twice_at_a_time(runs: Runs, caplog: pytest.LogCaptureFixture) -> None:
    """An interval that comes while the job still runs is left out."""
    async with scheduled(runs, timedelta(milliseconds=20)) as schedule:
        outcome = await runs.begun.get()
        await until(lambda: "maximum number of running instances reached" in caplog.text)
        outcome.set_result(None)
        await until(lambda: schedule.facts["work"].runs == 1)
        (await runs.begun.get()).set_result(None)

    assert runs.most_at_once == 1


async def test_a_failed_job_does_not_disturb_others(runs: Runs) -> None:
    """Each job has its own runs and its own facts."""

    async def fail() -> None:
        raise RuntimeError("always")

    schedule = Schedule([Job("bad", fail, HOUR), Job("good", runs, timedelta(milliseconds=20))], clock=lambda: NOW)
    with capture_logs():
        schedule.start()
        for _ in range(3):
            (await runs.begun.get()).set_result(None)
        await schedule.stop()

    assert schedule.facts["bad"].failures >= 1
    assert schedule.facts["bad"].last_success_at is None
    assert (schedule.facts["good"].failures, schedule.facts["good"].last_success_at) == (0, NOW)


async def test_stop_lets_a_run_end(runs: Runs) -> None:
    """The run under way ends as if nothing were; none begins after it."""
    schedule = Schedule([Job("work", runs, timedelta(milliseconds=20))], clock=lambda: NOW)
    schedule.start()
    outcome = await runs.begun.get()
    stopping = asyncio.create_task(schedule.stop(HOUR))
    await asyncio.sleep(0)
    assert not stopping.done()
    outcome.set_result(None)
    await stopping

    assert (schedule.facts["work"].runs, schedule.facts["work"].failures) == (1, 0)
    assert runs.begun.empty()


async def test_stop_cuts_off_what_outlasts_its_limit(runs: Runs, caplog: pytest.LogCaptureFixture) -> None:
    """Without a traceback: being cut off is no failure of the job."""
    caplog.set_level(logging.WARNING)
    schedule = Schedule([Job("work", runs, HOUR)], clock=lambda: NOW)
    with capture_logs() as logs:
        schedule.start()
        outcome = await runs.begun.get()
        await schedule.stop(timedelta(0))

    assert outcome.cancelled()
    assert [(entry["log_level"], entry["job"]) for entry in logs] == [("warning", "work")]
    assert "exc_info" not in logs[0]
    assert caplog.records == []
    assert (schedule.facts["work"].runs, schedule.facts["work"].failures) == (0, 0)


@pytest.mark.parametrize("turns", range(4))
async def test_stop_right_after_start(runs: Runs, caplog: pytest.LogCaptureFixture, turns: int) -> None:
    """However far the first run had come: nothing is left behind and no error is logged."""
    caplog.set_level(logging.WARNING)
    schedule = Schedule([Job("work", runs, HOUR)], clock=lambda: NOW)
    schedule.start()
    for _ in range(turns):
        await asyncio.sleep(0)
    with capture_logs():
        await schedule.stop(timedelta(0))

    assert caplog.records == []
    assert schedule.facts["work"].runs == 0


async def test_a_clock_that_is_put_back_stops_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the new time the next run would be an hour later than it should: it is made now."""
    monkeypatch.setattr("collector.rollup.schedule.LOOK_EVERY_S", 0.0)
    runs, hour = Runs(), 3_600.0
    put_back = [0.0]
    schedule = Schedule([Job("work", runs, HOUR)], clock=lambda: NOW, wall=lambda: time.time() - put_back[0])
    schedule.start()
    (await runs.begun.get()).set_result(None)
    await until(partial(has_run, schedule.facts["work"], 1))
    put_back[0] = hour
    async with asyncio.timeout(10):
        (await runs.begun.get()).set_result(None)
    await schedule.stop()
    assert runs.most_at_once == 1

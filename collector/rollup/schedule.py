"""The jobs of the service and when they run: each at once, then at its interval, and again and again after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

FIRST_RETRY = timedelta(milliseconds=100)
LAST_RETRY = timedelta(minutes=1)

log = structlog.get_logger(__name__)


class Job(NamedTuple):
    """Something that is done every so often. ``run`` raises when it failed, and must be fit to be run again."""

    name: str
    run: Callable[[], Awaitable[None]]
    every: timedelta


@dataclass
class JobFacts:
    """What is known about a job, for health and metrics. Runs that were cut off by the end of the service are not counted."""

    runs: int = 0
    failures: int = 0
    failures_in_a_row: int = 0
    last_success_at: int | None = None  # ms since the epoch
    last_duration: float | None = None  # seconds, of the last run that succeeded or failed
    last_error: str | None = None  # of the last run, not for the public; None when it succeeded


class Schedule:
    """Runs ``jobs``, none of them twice at a time.

    A failed run is logged with its traceback and tried again after :func:`retry_delay`, or its interval when that is shorter,
    until the job works.

    Args:
        jobs: what to run, each with a name of its own.
        clock: milliseconds since the epoch, for ``last_success_at``.
    """

    def __init__(self, jobs: Sequence[Job], *, clock: Callable[[], int]) -> None:
        self.facts = {job.name: JobFacts() for job in jobs}
        self._jobs = jobs
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False
        # coalesce and no misfire limit: after a blocked loop a job that is due runs once, where APScheduler's own default
        # would skip every run that is more than a second late.
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        )

    def start(self) -> None:
        """Run every job now and from now on. Needs a running event loop."""
        for job in self._jobs:
            self._scheduler.add_job(
                self._run, "interval", [job], id=job.name, seconds=job.every.total_seconds(), next_run_time=datetime.now(UTC)
            )
        self._scheduler.start()

    async def stop(self, limit: timedelta = timedelta(seconds=10)) -> None:
        """Begin no further run, give those under way until ``limit`` to end, and cancel what still runs then."""
        self._stopping = True
        self._scheduler.pause()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=limit.total_seconds())
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._scheduler.shutdown(wait=False)
        await asyncio.sleep(0)  # APScheduler shuts down in the loop's next round

    async def _run(self, job: Job) -> None:
        task = asyncio.current_task()
        if self._stopping or task is None:
            return
        self._running.add(task)
        try:
            await self._run_once(job)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            log.warning("A job was cut off by the end of the service", job=job.name)
        finally:
            self._running.discard(task)

    async def _run_once(self, job: Job) -> None:
        facts = self.facts[job.name]
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            await job.run()
        except Exception as error:  # whatever it was, the service goes on and tries again
            facts.failures += 1
            facts.failures_in_a_row += 1
            facts.last_error = f"{type(error).__name__}: {error}"
            delay = min(retry_delay(facts.failures_in_a_row), job.every)
            log.exception("A job failed", job=job.name, failures_in_a_row=facts.failures_in_a_row, retry_in=str(delay))
            self._scheduler.modify_job(job.name, next_run_time=datetime.now(UTC) + delay)
        else:
            facts.failures_in_a_row = 0
            facts.last_error = None
            facts.last_success_at = self._clock()
        facts.runs += 1
        facts.last_duration = loop.time() - begun


def retry_delay(failures_in_a_row: int) -> timedelta:
    """How long to wait after that many failures, at least one: 100 ms, then twice as long each time, up to a minute."""
    return min(FIRST_RETRY * (1 << min(failures_in_a_row - 1, 10)), LAST_RETRY)

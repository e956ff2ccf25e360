"""The jobs of the service and when they run: each at once, then at its interval, and again and again after a failure."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from collector.persist.lease import NotLeader

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_RETRY = timedelta(milliseconds=100)
LAST_RETRY = timedelta(minutes=1)
LOOK_EVERY_S = 1.0  # at the clock
STEPPED_S = 2.0  # by which a clock was put back; what is less, it was slewed

log = structlog.get_logger(__name__)


class By(enum.Enum):
    """Who does a job: every replica for itself, or the leader for all of them."""

    EVERY = "every replica"
    LEADER = "the leader"


class Job(NamedTuple):
    """Something that is done every so often. ``run`` raises when it failed, and must be fit to be run again.

    What the leader does is cut off when it ceases to lead, and begun by the next one. Each run but the first is due at a
    multiple of ``every`` since the epoch: whoever leads, the turns are the same.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    every: timedelta
    by: By = By.EVERY


class TurnTrigger(BaseTrigger):  # type: ignore[misc] # APScheduler has no types
    """The multiples of ``every`` since the epoch."""

    def __init__(self, every: timedelta) -> None:
        self._every = every

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime:
        """The first one after ``now``."""
        return EPOCH + ((now - EPOCH) // self._every + 1) * self._every


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
        leads: whether this process leads; :meth:`begin_to_lead` and :meth:`cease_to_lead` say when that changes.
        wall: the system's clock, by which the runs are due.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        clock: Callable[[], int],
        leads: Callable[[], bool] = lambda: True,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.facts = {job.name: JobFacts() for job in jobs}
        self.jobs = jobs
        self._clock = clock
        self._leads = leads
        self._wall = wall
        self._watch: asyncio.Task[None] | None = None
        self._running: dict[asyncio.Task[None], Job] = {}
        self._cut_off: set[asyncio.Task[None]] = set()
        self._stopping = False
        # coalesce and no misfire limit: after a blocked loop a job that is due runs once, where APScheduler's own default
        # would skip every run that is more than a second late.
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        )

    def start(self) -> None:
        """Run every job now and from now on. Needs a running event loop."""
        for job in self.jobs:
            trigger = TurnTrigger(job.every) if job.by is By.LEADER else IntervalTrigger(seconds=job.every.total_seconds())
            self._scheduler.add_job(self._run, trigger, [job], id=job.name, next_run_time=datetime.now(UTC))
        self._scheduler.start()
        self._watch = asyncio.create_task(self._follow_the_clock(), name="clock")

    async def _follow_the_clock(self) -> None:
        """Run every job now when the clock was put back: by it the next runs would be as much later as it was put back."""
        loop = asyncio.get_running_loop()
        ahead = self._wall() - loop.time()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            before, ahead = ahead, self._wall() - loop.time()
            if before - ahead > STEPPED_S:
                log.warning("The clock was put back", seconds=round(before - ahead))
                for job in self.jobs:
                    self._scheduler.modify_job(job.name, next_run_time=datetime.now(UTC))

    def begin_to_lead(self) -> None:
        """Run the leader's jobs now and from now on."""
        if self._scheduler.running and not self._stopping:
            for job in self._leaders():
                self._scheduler.modify_job(job.name, next_run_time=datetime.now(UTC))

    def cease_to_lead(self) -> None:
        """Cut off what the leader does. What is known about these jobs is another one's to say from now on.

        A job that found out itself, by a write that was refused, ends by that error.
        """
        for task, job in self._running.items():
            if job.by is By.LEADER and task is not asyncio.current_task():
                self._cut_off.add(task)
                task.cancel()
        for job in self._leaders():
            facts = self.facts[job.name]
            facts.last_success_at = facts.last_duration = facts.last_error = None
            facts.failures_in_a_row = 0

    def _leaders(self) -> list[Job]:
        return [job for job in self.jobs if job.by is By.LEADER]

    async def stop(self, limit: timedelta = timedelta(seconds=10)) -> None:
        """Begin no further run, give those under way until ``limit`` to end, and cancel what still runs then."""
        self._stopping = True
        if self._watch is not None:
            self._watch.cancel()
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
        if self._stopping or task is None or (job.by is By.LEADER and not self._leads()):
            return
        self._running[task] = job
        try:
            await self._run_once(job)
        except asyncio.CancelledError:
            if not self._stopping and task not in self._cut_off:
                raise
            log.warning("A job was cut off", job=job.name, by="the end of the service" if self._stopping else "another leader")
        except NotLeader as error:
            log.warning("A job was cut off", job=job.name, by=str(error))
        finally:
            self._running.pop(task, None)
            self._cut_off.discard(task)

    async def _run_once(self, job: Job) -> None:
        facts = self.facts[job.name]
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            await job.run()
        except NotLeader:
            raise
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

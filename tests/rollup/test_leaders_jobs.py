"""Jobs that one replica does for all: they run where the leader is, and in turns that do not depend on who it is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from collector.persist.lease import NotLeader
from collector.rollup.schedule import By, Job, Schedule, TurnTrigger
from tests.rollup.test_schedule import HOUR, NOW, Runs, until

BEGIN = datetime(2026, 1, 14, 10, tzinfo=UTC)
HALF_MINUTE = timedelta(seconds=30)


class Replica:
    """A started schedule with a job of the leader's and one of everybody's."""

    def __init__(self, *, leads: bool) -> None:
        self.leads = leads
        self.leaders, self.everybodys = Runs(), Runs()
        jobs = [Job("one", self.leaders, HOUR, By.LEADER), Job("each", self.everybodys, HOUR, By.EVERY)]
        self.schedule = Schedule(jobs, clock=lambda: NOW, leads=lambda: self.leads)
        self.schedule.start()

    def begin(self) -> None:
        """Lead from now on."""
        self.leads = True
        self.schedule.begin_to_lead()

    def cease(self) -> None:
        """Lead no more."""
        self.leads = False
        self.schedule.cease_to_lead()


async def test_a_follower_leaves_the_leaders_jobs_alone() -> None:
    """It does its own alone; what it does not do has no facts."""
    replica = Replica(leads=False)
    (await replica.everybodys.begun.get()).set_result(None)
    await until(lambda: replica.schedule.facts["each"].runs == 1)
    await replica.schedule.stop()

    assert replica.leaders.begun.empty()
    assert (replica.schedule.facts["one"].runs, replica.schedule.facts["one"].last_success_at) == (0, None)


async def test_who_begins_to_lead_runs_them_at_once() -> None:
    """Not only when they are due next."""
    replica = Replica(leads=False)
    (await replica.everybodys.begun.get()).set_result(None)
    replica.begin()
    (await replica.leaders.begun.get()).set_result(None)
    await until(lambda: replica.schedule.facts["one"].runs == 1)
    await replica.schedule.stop()


async def test_who_ceases_to_lead_is_cut_off() -> None:
    """In the middle of a run, which is no failure; what is its own goes on."""
    replica = Replica(leads=True)
    outcome, own = await replica.leaders.begun.get(), await replica.everybodys.begun.get()
    with capture_logs() as logs:
        replica.cease()
        await until(outcome.cancelled)
        own.set_result(None)
        await until(lambda: replica.schedule.facts["each"].runs == 1)
        await replica.schedule.stop()

    assert [(entry["log_level"], entry["job"]) for entry in logs] == [("warning", "one")]
    assert (replica.schedule.facts["one"].runs, replica.schedule.facts["one"].failures) == (0, 0)


async def test_who_ceased_to_lead_can_begin_again() -> None:
    """The run that was cut off does not stand in the way of the next."""
    replica = Replica(leads=True)
    outcome = await replica.leaders.begun.get()
    with capture_logs():
        replica.cease()
        await until(outcome.cancelled)
        await until(lambda: replica.leaders.at_once == 0)
    replica.begin()
    (await replica.leaders.begun.get()).set_result(None)
    await until(lambda: replica.schedule.facts["one"].runs == 1)
    (await replica.everybodys.begun.get()).set_result(None)
    await replica.schedule.stop()


async def test_a_former_leader_says_nothing_of_the_leaders_jobs() -> None:
    """How long ago it ran them last would look like a job that stands still."""
    replica = Replica(leads=True)
    (await replica.leaders.begun.get()).set_result(None)
    facts = replica.schedule.facts["one"]
    await until(lambda: facts.last_success_at == NOW)
    replica.cease()
    (await replica.everybodys.begun.get()).set_result(None)
    await replica.schedule.stop()

    assert (facts.last_success_at, facts.last_duration, facts.last_error) == (None, None, None)


async def test_a_refused_write_is_no_failure_of_the_job() -> None:
    """The leader that finds out by it says so in one line."""

    async def write() -> None:
        raise NotLeader("epoch 1 of the lease jobs is over")

    schedule = Schedule([Job("one", write, HOUR, By.LEADER)], clock=lambda: NOW)
    with capture_logs() as logs:
        schedule.start()
        await until(lambda: bool(logs))
        await schedule.stop()

    assert [(entry["log_level"], entry["by"]) for entry in logs] == [("warning", "epoch 1 of the lease jobs is over")]
    assert (schedule.facts["one"].failures, schedule.facts["one"].runs) == (0, 0)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (BEGIN, BEGIN + HALF_MINUTE),
        (BEGIN + timedelta(milliseconds=1), BEGIN + HALF_MINUTE),
        (BEGIN + HALF_MINUTE - timedelta(microseconds=1), BEGIN + HALF_MINUTE),
        (BEGIN + HALF_MINUTE, BEGIN + 2 * HALF_MINUTE),
    ],
)
def test_turns_do_not_depend_on_the_last_run(now: datetime, due: datetime) -> None:
    """A late run, or a leader that began in between, does not move them."""
    trigger = TurnTrigger(HALF_MINUTE)
    assert {trigger.get_next_fire_time(last, now) for last in (None, now, now - timedelta(seconds=7))} == {due}


async def test_ceasing_before_anything_ran_is_quiet() -> None:
    """A replica that ends may be told so at any time."""
    replica = Replica(leads=False)
    replica.cease()
    (await replica.everybodys.begun.get()).set_result(None)
    await replica.schedule.stop()
    replica.begin()
    await asyncio.sleep(0)
    assert replica.leaders.begun.empty()

"""Rate limits and budgets."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.http.limits import Budget, SlidingWindow, address_identity
from tests.http.conftest import Clock

MINUTE = 1_768_384_800.0  # a full one


def test_the_limit_is_reached_and_no_further() -> None:
    """Every answer says how many remain; the first too many is refused in Coder's words."""
    limiter = SlidingWindow(3, clock=Clock(MINUTE + 1))

    decisions = [limiter.take("192.0.2.1", "/api/v2/buildinfo") for _ in range(4)]
    assert [decision.allowed for decision in decisions] == [True, True, True, False]
    assert [decision.remaining for decision in decisions] == [2, 1, 0, 0]
    assert decisions[0].headers == {
        "X-RateLimit-Limit": "3",
        "X-RateLimit-Remaining": "2",
        "X-RateLimit-Reset": str(int(MINUTE) + 60),
    }
    refusal = decisions[3].refusal()
    assert refusal.message == "You've been rate limited for sending more than 3 requests in 1m0s."
    assert refusal.retry_after == 60


def test_each_path_and_each_address_has_its_own_limit() -> None:
    """One that is used up leaves the others alone."""
    limiter = SlidingWindow(1, clock=Clock(MINUTE))

    assert limiter.take("192.0.2.1", "/a").allowed
    assert not limiter.take("192.0.2.1", "/a").allowed
    assert limiter.take("192.0.2.1", "/b").allowed
    assert limiter.take("192.0.2.2", "/a").allowed


def test_the_minute_before_counts_by_its_share() -> None:
    """After a full minute nothing passes at the start of the next one, half at its half, and all a minute later."""
    clock = Clock(MINUTE + 59)
    limiter = SlidingWindow(100, clock=clock)

    def passing_at(second: float) -> int:
        clock.at = MINUTE + second
        return sum(limiter.take("192.0.2.1", "/").allowed for _ in range(200))

    assert passing_at(59) == 100
    assert passing_at(60) == 0
    assert passing_at(90) == 50
    assert passing_at(240) == 100


def test_refusals_do_not_count() -> None:
    """Who keeps asking is let in as soon as who waited."""
    clock = Clock(MINUTE)
    limiter = SlidingWindow(10, clock=clock)
    for _ in range(1000):
        limiter.take("192.0.2.1", "/")

    clock.at = MINUTE + 90
    assert limiter.take("192.0.2.1", "/").remaining == 4


def test_memory_is_bounded() -> None:
    """Old minutes are dropped, and of one minute only so many identities are kept."""
    clock = Clock(MINUTE)
    limiter = SlidingWindow(1, clock=clock, tracked_at_most=10)
    for number in range(1000):
        clock.at += 1
        limiter.take(f"192.0.2.{number}", "/")

    assert len(limiter._now) <= 10
    assert len(limiter._before) <= 10


@given(
    limit=st.integers(1, 20),
    steps=st.lists(st.tuples(st.floats(-30, 100), st.sampled_from(["a", "b"])), max_size=200),
)
def test_never_more_than_the_limit_in_a_minute(limit: int, steps: list[tuple[float, str]]) -> None:
    """However the requests come, in no minute do more than the limit pass, and the numbers told are never negative."""
    clock = Clock(MINUTE)
    limiter = SlidingWindow(limit, clock=clock)
    passed: Counter[tuple[str, int]] = Counter()
    for pause, identity in steps:
        clock.at += max(0.0, pause)  # most requests follow at once
        decision = limiter.take(identity, "/")
        passed[identity, int(clock.at // 60)] += decision.allowed
        assert 0 <= decision.remaining < limit
        assert 0 < decision.reset - clock.at <= 60

    assert max(passed.values(), default=0) <= limit


def test_a_budget_is_spent_and_refilled() -> None:
    """All of it at once, then a sixtieth of it a second, and never more than all of it."""
    clock = Clock()
    budget = Budget(600, clock)

    assert budget.take("key", 1000) == 600
    assert budget.take("key", 1) == 0
    clock.at += 1
    assert budget.take("key", 1000) == 10
    clock.at += 3600
    assert budget.take("key", 1000) == 600
    assert budget.take("other", 5) == 5


def test_looking_does_not_count() -> None:
    """Whether a limit is used up can be asked without using it up; the refusal is the one that a request would get."""
    limiter = SlidingWindow(1, clock=Clock(MINUTE))

    assert [limiter.exhausted("192.0.2.1", "/") for _ in range(5)] == [None] * 5
    assert limiter.take("192.0.2.1", "/").allowed
    assert limiter.exhausted("192.0.2.1", "/") == limiter.take("192.0.2.1", "/")
    assert limiter.exhausted("192.0.2.2", "/") is None


def test_a_full_budget_takes_any_body_and_pays_it_off() -> None:
    """A body larger than the limit passes when the budget is full; then nothing does until the refill has paid for it."""
    clock = Clock()
    budget = Budget(60, clock)
    assert budget.take_all("key", 150)
    assert not budget.take_all("key", 1)
    assert budget.take("key", 5) == 0

    clock.at += 90  # the debt is paid
    assert budget.take("key", 5) == 0
    clock.at += 59
    assert not budget.take_all("key", 150)
    clock.at += 1
    assert budget.take_all("key", 150)


def test_what_was_not_stored_is_given_back() -> None:
    """Up to the limit and no further."""
    budget = Budget(10, Clock())
    assert budget.take_all("key", 10)
    budget.give_back("key", 4)
    assert budget.take("key", 10) == 4
    budget.give_back("key", 1000)
    assert budget.take("key", 1000) == 10


def test_no_budget_is_no_limit() -> None:
    """0 lets everything pass."""
    budget = Budget(0, Clock())
    assert budget.take("key", 10**9) == 10**9
    budget.give_back("key", 10**9)
    assert budget.take_all("key", 10**9)


def test_budgets_are_bounded_and_keep_the_keys_in_use() -> None:
    """The key unused for longest is forgotten, not the one that is busy."""
    budget = Budget(10, Clock(), tracked_at_most=2)
    assert budget.take("busy", 10) == 10
    for number in range(100):
        budget.take(f"key-{number}", 1)
        assert budget.take("busy", 1) == 0

    assert len(budget._buckets) == 2


@given(
    limit=st.integers(1, 1000),
    steps=st.lists(st.tuples(st.floats(0, 100), st.integers(0, 2000)), max_size=100),
)
def test_a_budget_is_never_exceeded(limit: int, steps: list[tuple[float, int]]) -> None:
    """What passed is never more than the first filling and what flowed in since."""
    clock = Clock()
    budget = Budget(limit, clock)
    passed = 0
    for pause, n in steps:
        clock.at += pause
        taken = budget.take("key", n)
        assert 0 <= taken <= n
        passed += taken
        assert passed <= limit + clock.at * limit / 60 + 1e-6


def test_an_address_counts_as_its_network() -> None:
    """A customer has a whole IPv6 /64, so it counts as one; IPv4 is IPv4 in either spelling."""
    assert address_identity("2001:db8:1:2:3:4:5:6") == address_identity("2001:db8:1:2::1") == "2001:db8:1:2::"
    assert address_identity("::ffff:192.0.2.1") == address_identity("192.0.2.1") == "192.0.2.1"
    assert address_identity("") == ""


@pytest.mark.parametrize("limit", [1, 7, 10, 100])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_share_a_budget(limit: int, processes: int) -> None:
    """Each lets its part pass, rounded up: together the limit, and less than one of theirs more for each of them."""
    parts = [Budget(limit, Clock(), processes=processes) for _ in range(processes)]

    passed = sum(part.take("key", limit) for part in parts)
    of_their_own = sum(part.take("project", limit, limit=limit) for part in parts)

    assert limit <= passed < limit + processes
    assert of_their_own == passed
    assert all(part.limit == limit for part in parts)

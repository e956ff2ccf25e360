"""How much a caller may send: requests by address and path, reports by ingest key. Pure counting; the clocks are passed in."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from collector.wire.errors import RateLimited

WINDOW_S = 60
TRACKED_AT_MOST = 100_000  # identities of one minute: some 20 MB


class Decision(NamedTuple):
    """What the limiter says to one request."""

    allowed: bool
    limit: int
    remaining: int
    reset: int  # seconds since the epoch: the end of this minute

    @property
    def headers(self) -> dict[str, str]:
        """The headers that every answer carries, also a good one."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }

    def refusal(self) -> RateLimited:
        """The error to raise when it is not allowed."""
        message = f"You've been rate limited for sending more than {self.limit} requests in 1m0s."
        return RateLimited(message, retry_after=WINDOW_S)


class SlidingWindow:
    """At most ``limit`` requests a minute for each identity and path.

    What counts is this minute's requests, and those of the minute before by the share of it that the last 60 seconds
    still cover. Refused requests do not count. Past ``tracked_at_most`` identities within one minute the oldest is
    forgotten: whoever can send from that many addresses is not stopped by a limit for each.

    Args:
        limit: requests a minute, at least 1.
        clock: seconds since the epoch; the minutes are those of the wall clock.
        tracked_at_most: identities and paths that are remembered of one minute.
    """

    def __init__(self, limit: int, *, clock: Callable[[], float], tracked_at_most: int = TRACKED_AT_MOST) -> None:
        self._limit = limit
        self._clock = clock
        self._tracked_at_most = tracked_at_most
        self._minute = 0
        self._now: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._before: OrderedDict[tuple[str, str], int] = OrderedDict()

    def take(self, identity: str, path: str) -> Decision:
        """Count a request to ``path``, if it may pass."""
        decision = self._decide(identity, path)
        if decision.allowed:
            key = identity, path
            self._now[key] = self._now.get(key, 0) + 1
            if len(self._now) > self._tracked_at_most:
                self._now.popitem(last=False)
        return decision

    def exhausted(self, identity: str, path: str) -> Decision | None:
        """The refusal that a request to ``path`` would get now; None when it may pass. Counts nothing."""
        decision = self._decide(identity, path)
        return None if decision.allowed else decision

    def _decide(self, identity: str, path: str) -> Decision:
        """What to say to a request that is not counted yet."""
        minute, elapsed = divmod(self._clock(), WINDOW_S)
        self._turn_to(int(minute))
        key = identity, path
        before = self._before.get(key, 0) * (WINDOW_S - elapsed) / WINDOW_S
        rate = int(before + self._now.get(key, 0) + 0.5)
        remaining = max(0, self._limit - rate - 1)
        return Decision(rate < self._limit, self._limit, remaining, reset=(self._minute + 1) * WINDOW_S)

    def _turn_to(self, minute: int) -> None:
        if minute == self._minute:
            return
        self._before = self._now if minute == self._minute + 1 else OrderedDict()
        self._now = OrderedDict()
        self._minute = minute


class TokenBucket:
    """What one key may still send: refilled evenly, full at the start. Negative is a debt, which the refill pays first."""

    __slots__ = ("at", "left")

    def __init__(self, left: float, at: float) -> None:
        self.left = left
        self.at = at


class Budget:
    """Reports a minute for each ingest key. A browser that was refused would send again, so the excess is dropped instead.

    Args:
        limit_per_minute: how many, also at once after a minute of silence; 0 is no limit.
        clock: monotonic seconds.
        tracked_at_most: keys that are remembered; the one unused for longest is forgotten first and starts full again.
        processes: that share every limit: each takes its part, rounded up, and together they take no more than that.
    """

    def __init__(
        self, limit_per_minute: int, clock: Callable[[], float], *, tracked_at_most: int = 10_000, processes: int = 1
    ) -> None:
        self._limit = limit_per_minute
        self._clock = clock
        self._tracked_at_most = tracked_at_most
        self._processes = processes
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    @property
    def limit(self) -> int:
        """Reports a minute, of all processes; 0 is no limit."""
        return self._limit

    def take(self, key_id: str, n: int, *, limit: int | None = None) -> int:
        """How many of ``n`` reports may pass; those are taken off the budget of the key.

        ``limit`` is that of this key alone, when it has one of its own.
        """
        limit = self._part(self._limit if limit is None else limit)
        if limit == 0:
            return n
        bucket = self._bucket(key_id, limit)
        passing = n if n <= bucket.left else max(0, int(bucket.left))
        bucket.left -= passing
        return passing

    def take_all(self, key_id: str, n: int) -> bool:
        """Take all ``n`` off the budget of the key, or nothing when they do not all fit.

        A full budget lets any ``n`` pass and goes into debt, or a body larger than the limit could never be sent. So the
        mean stays within the limit, and what passes at once is the limit or one body.
        """
        limit = self._part(self._limit)
        if limit == 0:
            return True
        bucket = self._bucket(key_id, limit)
        passes = n <= bucket.left or bucket.left >= limit
        if passes:
            bucket.left -= n
        return passes

    def give_back(self, key_id: str, n: int, *, limit: int | None = None) -> None:
        """Undo a take of ``n``: they were not stored, and will be sent again."""
        limit = self._part(self._limit if limit is None else limit)
        if limit == 0:
            return
        bucket = self._bucket(key_id, limit)
        bucket.left = min(limit, bucket.left + n)

    def _part(self, limit: int) -> int:
        return limit if self._processes == 1 else -(-limit // self._processes)

    def _bucket(self, key_id: str, limit: int) -> TokenBucket:
        """The bucket of ``key_id``, refilled up to now."""
        now = self._clock()
        bucket = self._buckets.get(key_id)
        if bucket is None:
            bucket = self._buckets[key_id] = TokenBucket(limit, now)
            if len(self._buckets) > self._tracked_at_most:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key_id)
        bucket.left = min(limit, bucket.left + max(0.0, now - bucket.at) * limit / WINDOW_S)
        bucket.at = now
        return bucket


def address_identity(address: str) -> str:
    """What an address counts as: an IPv6 one as its /64, which is what one customer is given, an IPv4 one as itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False).network_address)

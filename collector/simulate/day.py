"""A day of history for a demonstration: what a service that had run for 24 hours would have stored as snapshots."""

from __future__ import annotations

import random
from collections.abc import Iterator

from collector.simulate.curves import (
    APP_SHARES,
    FAILED_SHARE,
    HOUR_MS,
    LATENCY_MS,
    NOWHERE_SHARE,
    RX_BYTES_A_SECOND,
    TX_BYTES_A_SECOND,
    drift,
    moving_share,
    running_share,
    session_share,
)
from collector.simulate.plan import Buckets, FleetState, Sessions

DAY_MS = 24 * HOUR_MS
WINDOW_SECONDS = 15 * 60


def day(now_ms: int, *, workspaces: int, seed: int, step_ms: int) -> Iterator[tuple[int, FleetState]]:
    """Yield (time, state of the fleet), oldest first, every ``step_ms`` of the 24 hours that end with ``now_ms``."""
    if step_ms <= 0:
        raise ValueError(f"step_ms must be positive, not {step_ms}")
    rng = random.Random(f"{seed}/day")  # noqa: S311 - play, no secret
    wobble, traffic, distance = drift(rng, 0.05), drift(rng, 0.18), drift(rng, 0.10)
    for at_ms in range(now_ms - DAY_MS // step_ms * step_ms, now_ms + 1, step_ms):
        buckets = _buckets(at_ms, workspaces, next(wobble), rng)
        busy = buckets.running * session_share(at_ms) * next(wobble)
        window_bytes = busy * WINDOW_SECONDS * next(traffic)
        p50 = LATENCY_MS * next(distance)
        yield (
            at_ms,
            FleetState(
                workspaces=buckets,
                sessions=Sessions(**{app: round(busy * share) for app, share in APP_SHARES.items()}),
                rx_bytes=round(window_bytes * RX_BYTES_A_SECOND),
                tx_bytes=round(window_bytes * TX_BYTES_A_SECOND),
                latency_p50_ms=round(p50, 3) if busy >= 1 else -1.0,
                latency_p95_ms=round(p50 * rng.uniform(3.2, 4.2), 3) if busy >= 1 else -1.0,
            ),
        )


def _buckets(at_ms: int, workspaces: int, wobble: float, rng: random.Random) -> Buckets:
    there = workspaces - round(workspaces * NOWHERE_SHARE)
    running = min(there, round(workspaces * running_share(at_ms) * wobble))
    failed = min(there - running, round(workspaces * FAILED_SHARE * rng.uniform(0.7, 1.3)))
    moving = min(there - running - failed, round(workspaces * moving_share(at_ms) * rng.uniform(0.6, 1.4)))
    pending = moving // 3  # a build waits for a third of its time
    return Buckets(
        pending=pending,
        building=moving - pending,
        running=running,
        failed=failed,
        stopped=there - running - failed - moving,
    )

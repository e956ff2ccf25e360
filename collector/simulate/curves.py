"""How a day goes: the shapes that the fleet of today and the simulated history share, so that one continues the other."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

HOUR_MS = 3_600_000

APP_SHARES = {"vscode": 0.52, "ssh": 0.26, "jetbrains": 0.14, "reconnecting_pty": 0.08}
RX_BYTES_A_SECOND = 6_000  # of an agent with a session; to the agent: keystrokes, edits
TX_BYTES_A_SECOND = 35_000  # from the agent: output, file trees, ports
LATENCY_MS = 24.0  # the median way between a person and a workspace
LATENCY_SPREAD = 0.8  # sigma of the logarithm: one in twenty is 4 times as far
FAILED_SHARE = 0.05
NOWHERE_SHARE = 0.03  # cancelled or deleted: in no bucket


def activity(at_ms: int) -> float:
    """The share of people at work, 0.08 to 1: a morning and an afternoon with lunch between, in UTC."""
    hour = at_ms / HOUR_MS % 24
    humps = math.exp(-(((hour - 10.2) / 1.9) ** 2)) + math.exp(-(((hour - 15.2) / 2.2) ** 2))
    return 0.08 + 0.92 * min(1.0, humps)


def running_share(at_ms: int) -> float:
    """The share of workspaces that run. Many are left on at night."""
    return 0.30 + 0.45 * activity(at_ms)


def session_share(at_ms: int) -> float:
    """The share of running workspaces that somebody is in."""
    return 0.06 + 0.72 * activity(at_ms)


def moving_share(at_ms: int) -> float:
    """The share of workspaces in the middle of a build: most when the day starts and when it ends."""
    return 0.012 + 0.10 * abs(activity(at_ms + HOUR_MS // 4) - activity(at_ms - HOUR_MS // 4))


def drift(rng: random.Random, spread: float) -> Iterator[float]:
    """Factors around 1 with a standard deviation of ``spread``, each near the one before."""
    level = rng.gauss(0, 1)
    while True:
        yield max(0.0, 1 + spread * level)
        level = 0.95 * level + 0.3122 * rng.gauss(0, 1)  # 0.95² + 0.3122² = 1: the variance stays 1

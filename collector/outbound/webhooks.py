"""Alerts to one configured webhook: signed, tried again with growing pauses, never sent anywhere else.

The address is an option. A redirect is a failure, and nothing of an answer but its status is looked at.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, Protocol, TypeVar

import aiohttp
import structlog
from prometheus_client import Counter
from sqlalchemy import Connection

from collector.outbound.messages import Shape, delivery_id, message
from collector.rollup.alerts import raise_alerts, settle, waiting_alerts
from collector.wire.alerts import Alert, AlertRules

T = TypeVar("T")

TIMEOUT_S = 10
FIRST_PAUSE_MS, LAST_PAUSE_MS = 30_000, 3_600_000
MAX_ATTEMPTS = 30  # about a day

DELIVERIES = Counter("collector_alert_deliveries", "Messages to the webhook, by what became of them.", ["outcome"])

log = structlog.get_logger(__name__)


class Work(Protocol):
    """``Writer.write`` or ``Store.read``."""

    def __call__(self, work: Callable[[Connection], T], /) -> Awaitable[T]:
        """Run ``work`` in a transaction of its own."""


class Webhook(NamedTuple):
    """Where alerts go, and how. ``digest_ms`` is how long the first of a project waits for others; ``secret`` may be empty."""

    url: str
    shape: Shape
    secret: str
    digest_ms: int
    rules: AlertRules


async def tell(webhook: Webhook, read: Work, write: Work, *, now: Callable[[], int], random: Callable[[], float]) -> None:
    """Raise the alerts that are due, and send those that wait: one message a project.

    What fails is tried again with pauses that double, up to an hour and shortened by chance by up to a half; ``random``
    gives numbers from 0 to 1. After about a day it is given up.
    """
    await write(partial(raise_alerts, rules=webhook.rules, now=now(), digest_ms=webhook.digest_ms))
    waiting = await read(partial(waiting_alerts, now=now()))
    if not waiting:
        return
    # No proxy from the environment, no cookies, and no redirects: what is configured is all that is spoken to.
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
        for _, group in groupby(sorted(waiting, key=attrgetter("project")), key=attrgetter("project")):
            await _deliver(webhook, session, list(group), write, now=now, random=random)


async def _deliver(
    webhook: Webhook,
    session: aiohttp.ClientSession,
    alerts: Sequence[Alert],
    write: Work,
    *,
    now: Callable[[], int],
    random: Callable[[], float],
) -> None:
    rows = [alert.row for alert in alerts]
    problem = await _post(webhook, session, alerts, now())
    if not problem:
        DELIVERIES.labels("delivered").inc()
        await write(partial(settle, rows=rows, delivered_at=now()))
        return
    attempts = max(alert.attempts for alert in alerts) + 1
    given_up = attempts >= MAX_ATTEMPTS
    pause = min(FIRST_PAUSE_MS << min(attempts - 1, 20), LAST_PAUSE_MS)
    DELIVERIES.labels("given_up" if given_up else "failed").inc()
    log.warning("An alert was not delivered", project=alerts[0].project, problem=problem, attempts=attempts, given_up=given_up)
    next_at = None if given_up else now() + int(pause * (1 - random() / 2))
    await write(partial(settle, rows=rows, next_at=next_at))


async def _post(webhook: Webhook, session: aiohttp.ClientSession, alerts: Sequence[Alert], now: int) -> str:
    """What went wrong, in words that do not name the address, which may be a secret; "" when nothing did."""
    body = message(webhook.shape, alerts)
    headers = {"Content-Type": "application/json", "X-Collector-Delivery": delivery_id(alerts)}
    if webhook.secret:
        headers["X-Collector-Signature"] = signature(webhook.secret, body, now // 1000)
    try:
        async with session.post(webhook.url, data=body, headers=headers, allow_redirects=False) as response:
            return "" if 200 <= response.status < 300 else f"status {response.status}"  # noqa: PLR2004
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return type(error).__name__


def signature(secret: str, body: bytes, at: int) -> str:
    """``t=…,v1=…``: the Unix time, and the HMAC-SHA-256 of it, a dot and the body, in hex."""
    signed = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"

"""The posts of a Coder server: arrays of rows and lines of logs, with a feed key, tried again until they are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

import aiohttp
import msgspec

from collector.simulate.csp import NO_ANSWER
from collector.simulate.ledger import Ledger
from collector.simulate.plan import Plan

BULK = 100  # rows in one POST, at most
UNAVAILABLE = 503
LONGEST_PAUSE = 2.0  # seconds between two tries


class Rejection(msgspec.Struct, frozen=True):
    """One row that was not taken."""

    index: int
    error: str


class Receipt(msgspec.Struct, frozen=True):
    """The service's answer to an array of rows."""

    accepted: int
    rejected: tuple[Rejection, ...]


class LogReceipt(msgspec.Struct, frozen=True):
    """The service's answer to lines of a log; duplicates are those that it has already."""

    accepted: int
    duplicate: int
    rejected_count: int


T = TypeVar("T", Receipt, LogReceipt)
LOGS = "aibridge"


class Feed:
    """Posts rows, one array at a time for whoever awaits it."""

    def __init__(self, session: aiohttp.ClientSession, plan: Plan, ledger: Ledger, give_up_at: float) -> None:
        self._session, self._ledger, self._give_up_at = session, ledger, give_up_at
        self._base = f"{plan.url.rstrip('/')}/api/v2/ingest/"
        self._headers = {"Authorization": f"Bearer {plan.feed_key}", "Content-Type": "application/json"}

    async def rejected(self, route: str, rows: Sequence[msgspec.Struct]) -> frozenset[int] | None:
        """Post ``rows`` and return the indexes that were rejected; None when the service never took the array.

        503 and lost connections are tried again with the same bytes, and so with the same ids, until the feed gives up.
        """
        self._ledger.rows_sent[route] += len(rows)
        receipt = await self._taken(route, msgspec.json.encode(rows), Receipt)
        return None if receipt is None else frozenset(rejection.index for rejection in receipt.rejected)

    async def log(self, lines: Sequence[msgspec.Struct]) -> None:
        """Post ``lines`` of an AI gateway's log, tried again like rows."""
        self._ledger.rows_sent[LOGS] += len(lines)
        receipt = await self._taken(LOGS, msgspec.json.Encoder().encode_lines(lines), LogReceipt)
        if receipt is not None:
            self._ledger.lines_accepted(LOGS, receipt.accepted + receipt.duplicate, receipt.rejected_count)

    async def _taken(self, route: str, body: bytes, kind: type[T]) -> T | None:
        pause = 0.1
        while True:
            outcome = await self._attempt(route, body, kind)
            if not isinstance(outcome, str):
                return outcome
            if outcome not in {"connection", str(UNAVAILABLE)}:
                return None
            if asyncio.get_running_loop().time() + pause > self._give_up_at:
                return None
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _attempt(self, route: str, body: bytes, kind: type[T]) -> T | str:
        """The receipt, or in a word why there is none."""
        self._ledger.posted(route)
        try:
            async with self._session.post(self._base + route, data=body, headers=self._headers) as response:
                answer = await response.read()
        except NO_ANSWER:
            outcome: T | str = "connection"
        else:
            outcome = _receipt(answer, kind) if response.ok else str(response.status)
        if isinstance(outcome, str):
            self._ledger.refused(route, outcome)
        return outcome


def _receipt(answer: bytes, kind: type[T]) -> T | str:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.MsgspecError:
        return "unreadable"

"""The trunk of every intake but the browsers': read, decode, submit, answer row by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from aiohttp import web

from collector.http import body
from collector.http.appkeys import BUDGET, DEPLOYMENT, IDENTITIES, NOW, SINK
from collector.http.errors import json_response
from collector.http.guard import CALLER
from collector.wire.errors import Overloaded, RateLimited
from collector.wire.identity import Caller, IngestKey
from collector.wire.records import Record, Refusal, Taken

# 10,000 rows, the most that one body may hold, are about 6 MB of what agents really send.
BODY_LIMIT = 8 * 1024 * 1024

R = TypeVar("R", bound=Record)
Decoded = tuple[Sequence[tuple[int, Record]], Sequence[Refusal]]


async def take(request: web.Request, decode: Callable[..., Decoded]) -> web.Response:
    """Store the rows of a JSON array and answer ``{accepted, rejected: [{index, error}]}`` once they are committed.

    ``decode(body, deployment=…, received_at=…)`` gives the records with their index in the body, and the refusals.
    """
    caller = request[CALLER]
    deployment = caller.deployment if isinstance(caller, IngestKey) else request.app[DEPLOYMENT]
    content = await body.read(request, limit=BODY_LIMIT)
    records, rejected = decode(content, deployment=deployment, received_at=request.app[NOW]())
    refusals = await submit(request, caller, [storable(request, record) for _, record in records]) if records else ()
    rejected = sorted(
        [*rejected, *(Refusal(records[refusal.index][0], refusal.error) for refusal in refusals)], key=lambda r: r.index
    )
    return json_response(Taken(len(records) - len(refusals), rejected))


async def submit(request: web.Request, caller: Caller | None, records: Sequence[Record]) -> Sequence[Refusal]:
    """Store ``records`` at the expense of the caller's budget, when it is a key and they can be stored."""
    if not isinstance(caller, IngestKey):
        return await request.app[SINK].submit(records)
    _spend(request, caller, len(records))
    try:
        return await request.app[SINK].submit(records)
    except Overloaded:
        request.app[BUDGET].give_back(caller.id, len(records))
        raise


def storable(request: web.Request, record: R) -> R:
    """``record`` with what may be stored of its user."""
    identities = request.app[IDENTITIES]
    return record if identities.changes_nothing else identities.applied(record)


def _spend(request: web.Request, key: IngestKey, rows: int) -> None:
    """Take ``rows`` from the key's budget, all or none: agents and servers try again, and repeated ids count once."""
    budget = request.app[BUDGET]
    if not budget.take_all(key.id, rows):
        raise RateLimited(f"This key may bring {budget.limit} rows a minute.", retry_after=60)

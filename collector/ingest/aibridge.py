"""POST /api/v2/ingest/aibridge: a log of any length, committed in chunks while it is read."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from collector.http import stream
from collector.http.appkeys import DEPLOYMENT, IDENTITIES, NOW, WRITER
from collector.http.errors import json_response
from collector.http.guard import CALLER
from collector.http.operation import Operation
from collector.ingest.aibridge_log import log_records
from collector.normalize.aibridge import Judged, LogReader
from collector.normalize.aibridge_records import RecordMaker
from collector.persist import aibridge
from collector.persist.engine import storage_failed
from collector.persist.writer import Writer
from collector.wire.aibridge import AibridgeRecord, Receipt, Rejection
from collector.wire.errors import CollectorError, Forbidden, Overloaded
from collector.wire.identity import IngestKey

# What one transaction takes, 30 to 80 ms: browsers' reports are committed between two of them.
CHUNK = 500  # records
CHUNK_BYTES = 4 * 1024 * 1024  # or lines of so many bytes: with texts that are kept, records are as large as they
MAX_REJECTED = 1_000  # listed; further ones are counted


class Aibridge(msgspec.Struct, frozen=True, kw_only=True):
    """Whether and how records are taken: what the hashes are keyed with, whether texts are kept and records logged.

    ``kept_ms`` is for how long records are kept: what is older may have been here before, and is not counted for good.
    """

    enabled: bool
    secret: bytes
    store_prompts: bool
    structured_logging: bool
    kept_ms: int


AIBRIDGE: web.AppKey[Aibridge] = web.AppKey("aibridge", Aibridge)


@Operation(answer=Receipt, body=str, body_media=("application/x-ndjson", "text/plain"))
async def post_aibridge(request: web.Request) -> web.Response:
    """Store the records of a log of any length. Sent again, whole or in part, it adds nothing."""
    # The budget of the key is not touched: a log is as slow as its own commits, one at a time.
    if not request.app[AIBRIDGE].enabled:
        raise Forbidden("No logs of AI gateways are taken.", "CODER_AIBRIDGE_ENABLED is false.")
    receipt = Receipt()
    try:
        await _read(request, receipt)
    except CollectorError as error:
        stored = receipt.accepted + receipt.duplicate
        error.detail = f"{error.detail} {stored} records before that are stored: send the same again.".lstrip()
        raise
    return json_response(receipt)


async def _read(request: web.Request, receipt: Receipt) -> None:
    options, now = request.app[AIBRIDGE], request.app[NOW]()
    identities = request.app[IDENTITIES]
    reader = LogReader(RecordMaker(secret=options.secret, keep_texts=options.store_prompts, identities=identities, now=now))
    records: list[AibridgeRecord] = []
    size = 0
    async for lines in stream.lines(request):
        for line in lines:
            size += len(line or b"")
            for judged in reader.read(line):
                _sort(judged, records, receipt)
        if len(records) >= CHUNK or size >= CHUNK_BYTES:
            await _commit(request, records, receipt)
            records, size = [], 0
    for judged in reader.end():
        _sort(judged, records, receipt)
    await _commit(request, records, receipt)


def _sort(judged: Judged, records: list[AibridgeRecord], receipt: Receipt) -> None:
    if judged.record is not None:
        records.append(judged.record)
    elif judged.error is None:
        receipt.skipped += 1
    else:
        receipt.rejected_count += 1
        if len(receipt.rejected) < MAX_REJECTED:
            receipt.rejected.append(Rejection(judged.line, judged.error))


async def _commit(request: web.Request, records: list[AibridgeRecord], receipt: Receipt) -> None:
    if not records:
        return
    caller = request[CALLER]
    deployment = caller.deployment if isinstance(caller, IngestKey) else request.app[DEPLOYMENT]
    now = request.app[NOW]()
    since = now - request.app[AIBRIDGE].kept_ms
    new = await _stored(request.app[WRITER], records, deployment=deployment, received_at=now, counted_since=since)
    receipt.accepted += len(new)
    receipt.duplicate += len(records) - len(new)
    if request.app[AIBRIDGE].structured_logging:
        await log_records(new)


async def _stored(writer: Writer, records: list[AibridgeRecord], **about: Any) -> list[AibridgeRecord]:
    """Commit ``records`` in a transaction of their own; those that were new.

    Raises:
        Overloaded: none of them is stored.
    """
    if writer.refusing:
        raise Overloaded("The store is full.", "It is over COLLECTOR_MAX_STORE_BYTES.")
    if not writer.has_room:
        raise Overloaded("Too much is waiting to be stored.")
    try:
        return await writer.write(partial(aibridge.store, records=records, **about))
    except Exception as error:
        if storage_failed(error):
            raise Overloaded("The records could not be stored.", "The store does not answer.") from error
        raise

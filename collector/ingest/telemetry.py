"""POST /deployment and POST /snapshot: what a Coder server sends to its CODER_TELEMETRY_URL.

It takes 202 alone for success, tries nothing again, waits for the answer without a limit, and tells nobody of a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import structlog
from aiohttp import web
from prometheus_client import Counter

from collector.http import body
from collector.http.appkeys import DEPLOYMENT, IDENTITIES, NOW
from collector.http.guard import CALLER
from collector.http.operation import Operation
from collector.ingest import intake
from collector.normalize.telemetry import telemetry_server, telemetry_snapshot
from collector.wire.errors import Forbidden, InvalidReport, TooLarge
from collector.wire.identity import IngestKey
from collector.wire.inventory import TelemetryIntake, TelemetryServer
from collector.wire.telemetry import TelemetryDeployment, TelemetrySnapshot
from collector.wire.trials import TRIAL_ID

T = TypeVar("T")

# Some 300 bytes a user or workspace, and an hour of builds: enough for 50,000 of each. A server sends this to nobody twice.
BODY_LIMIT = 32 * 1024 * 1024
# What is larger is decoded on a thread. It holds the interpreter lock, but for no element of a list longer than its own.
INLINE_LIMIT = 128 * 1024
MAX_DEPLOYMENTS = 100  # that telemetry may bring: each is a snapshot to build at every interval

MESSAGES = Counter("collector_telemetry_messages", "Telemetry messages stored: full, partial, deployment.", ["kind"])
REFUSED_ROWS = Counter("collector_telemetry_refused_rows", "Elements of telemetry lists that could not be read.", ["list"])

log = structlog.get_logger(__name__)

Forward = Callable[[str, bytes, str], None]  # path, body and the server's version; returns at once


@dataclass
class Receiver:
    """What the two routes need beside the application's own.

    ``known`` are the deployments there is telemetry of; ``forward`` passes a message on, None: nowhere.
    """

    forward: Forward | None = None
    known: set[str] = field(default_factory=set)


RECEIVER: web.AppKey[Receiver] = web.AppKey("receiver", Receiver)


@Operation(status=202, body=TelemetrySnapshot, refuses=(InvalidReport, TooLarge))
async def post_snapshot(request: web.Request) -> web.Response:
    """Store what is kept of a telemetry snapshot; 202 once it is committed."""
    content = await body.read(request, limit=BODY_LIMIT)
    received_at = request.app[NOW]()
    identities = request.app[IDENTITIES]
    work = partial(telemetry_snapshot, content, received_at=received_at, identities=identities)
    judged = await _decoded(work, len(content))
    if judged.refused:
        log.warning("elements of a telemetry snapshot cannot be read", **judged.refused)
    for name, count in judged.refused.items():
        REFUSED_ROWS.labels(name).inc(count)
    return await _stored(request, judged.intake, content, "full" if judged.intake.full else "partial")


@Operation(status=202, body=TelemetryDeployment, refuses=(InvalidReport, TooLarge))
async def post_deployment(request: web.Request) -> web.Response:
    """Store which server sends telemetry; 202 once it is committed. Without it no full snapshot would follow."""
    content = await body.read(request, limit=BODY_LIMIT)
    work = partial(telemetry_server, content, received_at=request.app[NOW](), version=_version(request))
    return await _stored(request, await _decoded(work, len(content)), content, "deployment")


async def _decoded(work: Callable[[], T], size: int) -> T:
    return work() if size <= INLINE_LIMIT else await asyncio.to_thread(work)


async def _stored(request: web.Request, record: TelemetryIntake | TelemetryServer, content: bytes, kind: str) -> web.Response:
    receiver = request.app[RECEIVER]
    _admit(request, receiver, record.deployment)
    refusals = await intake.submit(request, request[CALLER], [record])
    if refusals:
        raise InvalidReport("The store does not take this message.", refusals[0].error)
    receiver.known.add(record.deployment)
    MESSAGES.labels(kind).inc()
    tried = isinstance(record, TelemetryServer) and record.machine_id == TRIAL_ID
    if receiver.forward is not None and not tried:  # a trial is about this service alone
        receiver.forward(request.path, content, _version(request))
    return web.Response(status=202)


def _admit(request: web.Request, receiver: Receiver, deployment: str) -> None:
    """Refuse a deployment that the key is not for, and one too many."""
    caller, own = request[CALLER], request.app[DEPLOYMENT]
    if isinstance(caller, IngestKey) and caller.deployment not in (own, deployment):
        raise Forbidden("Forbidden.", "This key is bound to another deployment.")
    if deployment not in receiver.known and len(receiver.known) >= MAX_DEPLOYMENTS:
        raise Forbidden("Forbidden.", f"Telemetry of {MAX_DEPLOYMENTS} deployments is kept already.")


def _version(request: web.Request) -> str:
    return request.headers.get("X-Coder-Version", "")

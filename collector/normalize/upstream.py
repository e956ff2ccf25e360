"""A Coder server's own answers -> what is kept of them."""

from __future__ import annotations

import math
import uuid
from typing import TypeVar

import msgspec

from collector.normalize.rows import milliseconds, name
from collector.wire.errors import InvalidReport
from collector.wire.upstream import BuildInfoRow, StatsRow, UpstreamBuild, UpstreamStats

T = TypeVar("T")

USUAL_INTERVAL_MS = 30_000  # of a server that says none
LONGEST_INTERVAL_MS = 24 * 3_600_000
NO_LATENCY = -1.0

_STATS = msgspec.json.Decoder(StatsRow, strict=False)
_BUILD = msgspec.json.Decoder(BuildInfoRow)


def upstream_stats(body: bytes) -> UpstreamStats:
    """The snapshot in an answer of /api/v2/deployment/stats.

    Raises:
        InvalidReport: it is no such answer, or its time is before 1970.
    """
    row = _decoded(_STATS, body)
    collected_at = milliseconds(row.collected_at)
    if collected_at is None or collected_at < 0:
        raise InvalidReport("The stats have no time.")
    since, following = milliseconds(row.aggregated_from), milliseconds(row.next_update_at)
    if following is None or not 0 < following - collected_at <= LONGEST_INTERVAL_MS:
        following = collected_at + USUAL_INTERVAL_MS
    latency = row.workspaces.connection_latency_ms
    return UpstreamStats(
        aggregated_from=collected_at if since is None or not 0 <= since <= collected_at else since,
        collected_at=collected_at,
        next_update_at=following,
        latency_p50_ms=_latency(latency.p50 if latency.live_p50 is None else latency.live_p50),
        latency_p95_ms=_latency(latency.p95 if latency.live_p95 is None else latency.live_p95),
        workspaces=row.workspaces,
        sessions=row.session_count,
    )


def upstream_build(body: bytes) -> UpstreamBuild:
    """The deployment and the version in an answer of /api/v2/buildinfo.

    Raises:
        InvalidReport: it is no such answer.
    """
    row = _decoded(_BUILD, body)
    try:
        deployment = str(uuid.UUID(row.deployment_id))
    except ValueError:
        raise InvalidReport("The deployment id is not a UUID.") from None
    return UpstreamBuild(deployment, name(row.version) or "")


def _latency(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) and value >= 0 else NO_LATENCY


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidReport("The answer is not what a Coder server says.", type(error).__name__) from error

"""Everything a handler may take from ``request.app``, typed and in one list. ``app.py`` puts it there once, at start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from collector.http.auth import Credentials
from collector.http.limits import Budget
from collector.normalize.filters import NoiseFilter
from collector.normalize.identity import Identities
from collector.normalize.tokens import Lifetimes
from collector.persist.engine import Store
from collector.persist.leadership import Leadership
from collector.persist.sink import Sink
from collector.persist.writer import Writer
from collector.rollup.agentmetrics import AgentMetrics
from collector.rollup.schedule import Schedule
from collector.rollup.snapshot import Snapshots
from collector.rollup.store_cap import StoreCap
from collector.wire.deployment import SshConfig
from collector.wire.general import BuildInfo, UpdateCheck

STORE: web.AppKey[Store] = web.AppKey("store", Store)
WRITER: web.AppKey[Writer] = web.AppKey("writer", Writer)
SINK: web.AppKey[Sink] = web.AppKey("sink", object)  # type: ignore[arg-type]  # what intake submits to: the writer, or what is before it
CREDENTIALS: web.AppKey[Credentials] = web.AppKey("credentials", Credentials)
BUDGET: web.AppKey[Budget] = web.AppKey("budget", Budget)
SNAPSHOTS: web.AppKey[Snapshots] = web.AppKey("snapshots", Snapshots)
CAP: web.AppKey[StoreCap] = web.AppKey("cap", StoreCap)
SCHEDULE: web.AppKey[Schedule] = web.AppKey("schedule", Schedule)
LEADERSHIP: web.AppKey[Leadership] = web.AppKey("leadership", Leadership)
NOISE: web.AppKey[NoiseFilter] = web.AppKey("noise", NoiseFilter)  # the rules in effect
DEPLOYMENT: web.AppKey[str] = web.AppKey("deployment", str)  # the collector's own deployment id
IDENTITIES: web.AppKey[Identities] = web.AppKey("identities", Identities)
AGENT_METRICS: web.AppKey[AgentMetrics] = web.AppKey("agent_metrics", AgentMetrics)
NOW: web.AppKey[Callable[[], int]] = web.AppKey("now", Callable)  # type: ignore[arg-type]  # milliseconds since the epoch
CANARY_AT: web.AppKey[Callable[[], int | None] | None] = web.AppKey("canary_at", object)  # type: ignore[arg-type]  # ms; None: off
BUILD_INFO: web.AppKey[BuildInfo] = web.AppKey("build_info", BuildInfo)
SSH: web.AppKey[SshConfig] = web.AppKey("ssh", SshConfig)
EXPERIMENTS: web.AppKey[tuple[str, ...]] = web.AppKey("experiments", tuple)
LIFETIMES: web.AppKey[Lifetimes] = web.AppKey("lifetimes", Lifetimes)
UPDATE_CHECK: web.AppKey[Callable[[], Awaitable[UpdateCheck]]] = web.AppKey("update_check", Callable)  # type: ignore[arg-type]
OPENAPI: web.AppKey[bytes] = web.AppKey("openapi", bytes)

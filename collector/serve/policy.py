"""/csp/policy and /csp/header: which policy a site should have, what another one would do, and what to paste."""

from __future__ import annotations

import asyncio

from aiohttp import web

from collector.http.appkeys import STORE
from collector.http.errors import json_response
from collector.http.operation import Operation, Param
from collector.normalize.advice import advised, reported_policy
from collector.normalize.headers import KITS, report_headers
from collector.normalize.replay import replay
from collector.normalize.strict import strict_report
from collector.persist.projects import browser_key
from collector.rollup.evidence import LIMIT, evidence
from collector.rollup.scripts import scripts
from collector.serve import params
from collector.serve.scope import visible
from collector.wire.errors import NotFound
from collector.wire.evidence import Evidence
from collector.wire.policy import (
    MAX_POLICY,
    AdviceQuery,
    Allow,
    HeaderQuery,
    Headers,
    Kit,
    PolicyAdvice,
    PolicyQuery,
    Replay,
    StrictReport,
)
from collector.wire.scripts import MAX_LIMIT, ScriptQuery

POLICY = {"type": "string", "maxLength": MAX_POLICY, "pattern": r"^[\x20-\x7e]*$"}
THRESHOLD = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
FLAG = {"type": "boolean"}
ALLOWED = {"type": "string", "pattern": f"^({'|'.join(Allow)})(,({'|'.join(Allow)}))*$"}

PROJECT = Param("project", "the name of a project", {"type": "string"}, "a 400", required=True)
BASE = Param("policy", "the policy to begin with", POLICY, "the one reported")
ENOUGH = (
    Param("reports", "how many reports a source needs", THRESHOLD, "10"),
    Param("clients", "how many clients, on the day that had the most", THRESHOLD, "3"),
    Param("days", "how many days", THRESHOLD, "2"),
)
PATHS = Param("paths", "whether addresses are listed with their paths", FLAG, "`false`")
ALLOW = Param(
    "allow", f"what is listed too, parted by commas: {', '.join(f'`{each}`' for each in Allow)}", ALLOWED, "none of it"
)
HEADER = (
    Param("base_url", "where browsers reach the collector", {"type": "string"}, "the request's own"),
    Param("kit", "which policy to begin with; `observe` has everything reported", {"enum": [*map(str, Kit)]}, "`starter`"),
    Param("policy", "a policy to send in place of the kit's", POLICY),
    Param("report_only", "whether nothing is blocked", FLAG, "`true`"),
)


@Operation(answer=PolicyAdvice, query=(PROJECT, BASE, *ENOUGH, PATHS, ALLOW), refuses=(NotFound,))
async def get_policy(request: web.Request) -> web.Response:
    """A policy that allows what the site's visitors were really kept from, with the evidence for each of its changes."""
    query = params.asked(request, AdviceQuery)
    found = await _evidence(request, query.project)
    # In a thread: a thousand violations take some tenths of a second, in which nobody else should wait.
    return json_response(await asyncio.to_thread(advised, query, found, cut=len(found) >= LIMIT))


@Operation(
    answer=Replay,
    query=(PROJECT, Param("policy", "the policy to try", POLICY, "a 400", required=True)),
    refuses=(NotFound,),
)
async def get_replay(request: web.Request) -> web.Response:
    """What ``policy`` would do with everything that was reported."""
    query = params.asked(request, PolicyQuery)
    if not query.policy:
        raise params.invalid("policy", "must be the policy to replay")
    found = await _evidence(request, query.project)
    return json_response(await asyncio.to_thread(replay, query.project, query.policy, found, cut=len(found) >= LIMIT))


@Operation(answer=StrictReport, query=(PROJECT, BASE), refuses=(NotFound,))
async def get_strict(request: web.Request) -> web.Response:
    """What a policy of nonces or hashes would need, and which hosts of ``policy`` (the one reported) let others through."""
    query = params.asked(request, PolicyQuery)
    inventory = ScriptQuery(project=query.project, limit=MAX_LIMIT)
    scope = await visible(request)
    found, page = await request.app[STORE].read(
        lambda store: (evidence(store, query.project, visible=scope), scripts(store, inventory))
    )
    base = query.policy or reported_policy(found, 1) or ""
    return json_response(await asyncio.to_thread(strict_report, query.project, base, found, page.results))


@Operation(answer=Headers, query=(PROJECT, *HEADER), refuses=(NotFound,))
async def get_header(request: web.Request) -> web.Response:
    """The response headers that make the visitors of a project's site report."""
    query = params.asked(request, HeaderQuery)
    if query.kit is Kit.OBSERVE and not query.policy and not query.report_only:
        raise params.invalid("report_only", "must be true: enforced, the observing policy would block all of a site")
    key = await request.app[STORE].read(lambda connection: browser_key(connection, query.project))
    base_url = query.base_url or f"{request.scheme}://{request.host}"
    headers = report_headers(base_url, key, policy=query.policy or KITS[query.kit], report_only=query.report_only)
    return json_response(Headers(query.project, list(headers)))


async def _evidence(request: web.Request, project: str) -> list[Evidence]:
    scope = await visible(request)
    return await request.app[STORE].read(lambda connection: evidence(connection, project, visible=scope))

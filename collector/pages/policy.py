"""/csp/policy: the policy that the reports of a project suggest, and what another one would have done with them."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from collector.http.appkeys import NOW, STORE
from collector.normalize.advice import advised
from collector.normalize.replay import replay
from collector.pages.admission import EVERYBODY, form, shown_to, visible_to
from collector.pages.csp_view import SEEN, SEEN_MS
from collector.pages.page import PAGES
from collector.pages.policy_view import advice_context, replay_context
from collector.persist.meta import DEFAULT_PROJECT
from collector.rollup.evidence import LIMIT, evidence
from collector.rollup.projects import project_names
from collector.wire.errors import InvalidInput
from collector.wire.evidence import Evidence
from collector.wire.identity import User
from collector.wire.policy import AdviceQuery, PolicyQuery

T = TypeVar("T")

BAD_FORM = "The form cannot be used."
ASKED = ("project", "policy", "reports", "clients", "days", "paths")


@shown_to(EVERYBODY)
async def get_policy(request: web.Request, user: User) -> web.Response:
    """The suggested policy of a project, what speaks for each change, and what it would still block."""
    now, asked = request.app[NOW](), request.query.get("seen", "")
    seen = asked if asked in SEEN else ""
    since = now - SEEN_MS[seen] if seen else 0
    names, found, project = await _found(request, user, request.query.get("project"), since=since)
    if project is None:
        return await _response(request, user, names, {"advice": None})
    # A form names a set as often as it has members, an address by hand as the API does.
    allow = [name for each in request.query.getall("allow", ()) for name in each.split(",") if name]
    query = _asked({**request.query, "project": project}, AdviceQuery, allow=allow)
    # In a thread: a thousand violations take some tenths of a second, in which nobody else should wait.
    advice = await asyncio.to_thread(advised, query, found, cut=len(found) >= LIMIT)
    return await _response(request, user, names, advice_context(advice, query, found, seen=seen, now=now))


@shown_to(EVERYBODY)
async def post_policy(request: web.Request, user: User) -> web.Response:
    """What the policy of the form would have done with everything that was reported. Nothing is stored."""
    fields = await form(request)
    query = _asked({"project": fields.get("project", ""), "policy": " ".join(fields.get("policy", "").split())}, PolicyQuery)
    if not query.policy:
        raise InvalidInput(BAD_FORM, "Paste the policy to replay.")
    names, found, project = await _found(request, user, query.project)
    if project is None:
        raise InvalidInput(BAD_FORM, "Choose a project.")
    result = await asyncio.to_thread(replay, project, query.policy, found, cut=len(found) >= LIMIT)
    return await _response(request, user, names, replay_context(result, now=request.app[NOW]()), template="replay")


async def _found(
    request: web.Request, user: User, asked: str | None, *, since: int = 0
) -> tuple[list[str], list[Evidence], str | None]:
    """The projects that the viewer may see, and the evidence since then (ms) of the one asked for, or else of the first."""
    scope, store = await visible_to(request, user), request.app[STORE]
    names = await store.read(lambda connection: project_names(connection, visible=scope))
    project = asked or (DEFAULT_PROJECT if DEFAULT_PROJECT in names else next(iter(names), None))
    if project is None:
        return names, [], None
    return names, await store.read(lambda connection: evidence(connection, project, since=since, visible=scope)), project


def _asked(given: dict[str, str], kind: type[T], **more: object) -> T:
    try:
        return msgspec.convert({name: given[name] for name in ASKED if given.get(name)} | more, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(BAD_FORM, str(error)) from error


async def _response(
    request: web.Request, user: User, names: list[str], context: dict[str, Any], template: str = "policy"
) -> web.Response:
    # In a thread too: it may tell what speaks for hundreds of sources.
    shown = {"viewer": user, "projects": names, **context}
    return await asyncio.to_thread(request.app[PAGES].response, request, template, shown)

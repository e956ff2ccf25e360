"""/csp: the violations to decide on, and one of them with all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from collector.http.appkeys import NOW, STORE
from collector.http.writing import written
from collector.pages.admission import EVERYBODY, OWNERS, fields, form, shown_to, visible_to
from collector.pages.csp_view import PAGE, Done, Filters, Period, detail_context, list_context
from collector.pages.page import PAGES
from collector.persist.csp_states import set_state, set_state_of_all
from collector.rollup.projects import project_names
from collector.rollup.violation_list import violation_query, violations
from collector.rollup.violations import find, violation
from collector.wire.errors import InvalidInput
from collector.wire.identity import Role, User
from collector.wire.violations import NewState, NewStates

T = TypeVar("T")

BAD_STATE = "The form cannot be used."
NOTHING = "Nothing was changed."


@shown_to(EVERYBODY)
async def get_violations(request: web.Request, user: User) -> web.Response:
    """One page of the violations of the projects that the viewer may see; the open ones unless another state is asked for."""
    app, now = request.app, request.app[NOW]()
    filters = Filters.asked(request.query)
    query, scope = violation_query(filters.parameters(now)), await visible_to(request, user)
    page, names = await app[STORE].read(
        lambda store: (violations(store, query, now=now, visible=scope), project_names(store, visible=scope))
    )
    context = list_context(viewer=user, filters=filters, page=page, projects=names, done=Done.told(request.query), now=now)
    return app[PAGES].response(request, "csp", context)


@shown_to(OWNERS)
async def post_violations(request: web.Request, user: User) -> web.Response:
    """Give the chosen violations the state of the form, all or none, and show the list again, which says what changed."""
    given, now = await fields(request), request.app[NOW]()
    ids = sorted(set(given.get("shown" if "all" in given else "id", ())))
    if not ids:
        raise InvalidInput(NOTHING, "Choose at least one violation.")
    if len(ids) > PAGE:
        raise InvalidInput(NOTHING, f"At most {PAGE} violations are changed at once.")
    if not all(name.isascii() and name.isalnum() for name in ids):
        raise InvalidInput(BAD_STATE, "It names what is no violation.")
    new = _new({"ids": ids, "state": given.get("state", [""])[0], "note": given.get("note", [None])[0]}, NewStates)
    changed = await written(request, lambda c: set_state_of_all(c, ids, new.state, by=user.username, now=now, note=new.note))
    filters = Filters.asked(request.query)
    told = urlencode({"changed": changed, "to": new.state.value})
    return _seen(filters.href(after=filters.after, told=told) + "#done")


@shown_to(EVERYBODY)
async def get_violation(request: web.Request, user: User) -> web.Response:
    """One violation over time, with what it was seen with and who decided what."""
    app, now = request.app, request.app[NOW]()
    period, scope = Period.named(request.query.get("range")), await visible_to(request, user)
    found = await app[STORE].read(
        partial(
            violation,
            fingerprint=request.match_info["id"],
            since=now - period.days * 86_400_000,
            until=now,
            step=period.step,
            now=now,
            visible=scope,
        )
    )
    context = detail_context(viewer=user, period=period, found=found, now=now)
    return app[PAGES].response(request, "violation", {**context, "may_change": user.role is Role.OWNER})


@shown_to(OWNERS)
async def post_violation(request: web.Request, user: User) -> web.Response:
    """Give the violation the state of the form, and show it again."""
    given, fingerprint, now = await form(request), request.match_info["id"], request.app[NOW]()
    new = _new({"state": given.get("state", ""), "note": given.get("note")}, NewState)
    await request.app[STORE].read(partial(find, fingerprint=fingerprint, now=now))
    await written(request, lambda c: set_state(c, [fingerprint], new.state, by=user.username, now=now, note=new.note))
    return _seen(f"/csp/violations/{fingerprint}#state")


def _new(given: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(BAD_STATE, str(error)) from error


def _seen(path: str) -> web.Response:
    """The way back to a page after a form was taken, so that a reload sends nothing again."""
    return web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})

"""/csp: the violations to decide on, and one of them with all that is known of it."""

from __future__ import annotations

from functools import partial

import msgspec
from aiohttp import web

from collector.http.appkeys import NOW, STORE
from collector.http.writing import written
from collector.pages.admission import EVERYBODY, OWNERS, form, shown_to, visible_to
from collector.pages.csp_view import Filters, Period, detail_context, list_context
from collector.pages.page import PAGES
from collector.persist.csp_states import set_state
from collector.rollup.projects import project_names
from collector.rollup.violation_list import violation_query, violations
from collector.rollup.violations import find, violation
from collector.wire.errors import InvalidInput
from collector.wire.identity import Role, User
from collector.wire.violations import NewState

BAD_STATE = "The form cannot be used."


@shown_to(EVERYBODY)
async def get_violations(request: web.Request, user: User) -> web.Response:
    """One page of the violations of the projects that the viewer may see; the open ones unless another state is asked for."""
    app, now = request.app, request.app[NOW]()
    filters = Filters.asked(request.query)
    query, scope = violation_query(filters.parameters(now)), await visible_to(request, user)
    page, names = await app[STORE].read(
        lambda store: (violations(store, query, now=now, visible=scope), project_names(store, visible=scope))
    )
    context = list_context(viewer=user, filters=filters, page=page, projects=names, now=now)
    return app[PAGES].response(request, "csp", context)


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
    fields, fingerprint, now = await form(request), request.match_info["id"], request.app[NOW]()
    try:
        new = msgspec.convert({"state": fields.get("state", ""), "note": fields.get("note") or None}, NewState)
    except msgspec.ValidationError as error:
        raise InvalidInput(BAD_STATE, str(error)) from error
    await request.app[STORE].read(partial(find, fingerprint=fingerprint, now=now))
    await written(request, lambda c: set_state(c, [fingerprint], new.state, by=user.username, now=now, note=new.note))
    return web.Response(status=303, headers={"Location": f"/csp/violations/{fingerprint}#state", "Cache-Control": "no-store"})

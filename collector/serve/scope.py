"""Whose data a caller may see."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from collector.http.appkeys import STORE
from collector.http.guard import user_of
from collector.persist.members import projects_of
from collector.wire.identity import Role


async def visible(request: web.Request) -> frozenset[int] | None:
    """The ids of the projects whose data the caller may read; None: all of them."""
    user = user_of(request)
    if user.role is not Role.MEMBER:
        return None
    return await request.app[STORE].read(partial(projects_of, user_id=user.id))

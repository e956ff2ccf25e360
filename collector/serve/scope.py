"""Whose data a caller may see, and what it may change with a cookie."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from collector.http.access import FORBIDDEN
from collector.http.appkeys import STORE
from collector.http.auth import TOKEN_NAME
from collector.http.guard import came_from_here, user_of
from collector.persist.members import projects_of
from collector.wire.errors import Forbidden
from collector.wire.identity import Role, User

FOREIGN_SITE = "The request carries a cookie, but comes from another site. Send the token in a header."


async def visible(request: web.Request) -> frozenset[int] | None:
    """The ids of the projects whose data the caller may read; None: all of them."""
    user = user_of(request)
    if user.role is not Role.MEMBER:
        return None
    return await request.app[STORE].read(partial(projects_of, user_id=user.id))


def changer(request: web.Request) -> User:
    """The user who asks for a change.

    Raises:
        Forbidden: a page of another site asks, with the cookie of whoever looks at it.
    """
    if request.cookies.get(TOKEN_NAME) and not came_from_here(request):
        raise Forbidden(FORBIDDEN, FOREIGN_SITE)
    return user_of(request)

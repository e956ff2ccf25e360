"""Who may see a page: the sign-in form for strangers, a kind refusal without the role, and errors as a page, not as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import parse_qs

from aiohttp import web

from collector.http.appkeys import STORE
from collector.http.body import read
from collector.http.errors import status_of
from collector.http.guard import came_from_here
from collector.pages.page import PAGES
from collector.pages.session import asked_page, viewer
from collector.persist.members import projects_of
from collector.wire.errors import CollectorError, Forbidden
from collector.wire.identity import Role, User

Show = Callable[[web.Request, User], Awaitable[web.Response]]
Handler = Callable[[web.Request], Awaitable[web.Response]]

READERS = frozenset({Role.OWNER, Role.AUDITOR})
EVERYBODY = frozenset(Role)  # members see the projects that they were named for
OWNERS = frozenset({Role.OWNER})

MAX_FORM_BYTES = 32 * 1024  # a policy of 8,000 characters, each of them escaped
FOREIGN_FORM = "The form came from another site. Open the page here and send it again."


def shown_to(roles: frozenset[Role]) -> Callable[[Show], Handler]:
    """Make a handler of what shows a page to its viewer: others get the form to sign in, or are told that it is not for them.

    The form is a 200: it is the page for who is not signed in, and no client but a person ever asks for it.
    """

    def admitting(show: Show) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            pages = request.app[PAGES]
            user = await viewer(request)
            if user is None:
                return pages.response(request, "signin", {"viewer": None, "problem": None, "next": asked_page(request)})
            if user.role not in roles:
                return pages.response(request, "member", {"viewer": user}, status=403)
            try:
                return await show(request, user)
            except CollectorError as error:
                details = [detail for _, detail in error.validations] or [error.detail]
                problem = {"viewer": user, "message": error.message, "details": [text for text in details if text]}
                return pages.response(request, "problem", problem, status=status_of(type(error)))

        handler.__doc__ = show.__doc__
        return handler

    return admitting


async def visible_to(request: web.Request, user: User) -> frozenset[int] | None:
    """The ids of the projects whose data ``user`` may see; None: all of them."""
    if user.role is not Role.MEMBER:
        return None
    return await request.app[STORE].read(partial(projects_of, user_id=user.id))


async def fields(request: web.Request) -> dict[str, list[str]]:
    """The fields of a form that one of our own pages sent, all of each name; none is empty.

    Raises:
        Forbidden: another site sent it, with the cookie of whoever looks at that.
        TooLarge: it is longer than any of our forms.
    """
    if not came_from_here(request):
        raise Forbidden(FOREIGN_FORM)
    return parse_qs((await read(request, limit=MAX_FORM_BYTES)).decode("utf-8", "replace"))


async def form(request: web.Request) -> dict[str, str]:
    """The same, the first of each name."""
    return {name: values[0].replace("\r\n", "\n") for name, values in (await fields(request)).items()}

"""Signing in and out of the pages: a token from the form begins a session, whose name is an http-only cookie."""

from __future__ import annotations

import re
from functools import partial
from typing import Literal, NamedTuple
from urllib.parse import parse_qs

from aiohttp import web

from collector.http.appkeys import CREDENTIALS, NOW
from collector.http.auth import TOKEN_NAME
from collector.http.body import read
from collector.http.guard import came_from_here
from collector.http.writing import written
from collector.pages.page import PAGES
from collector.persist.accounts import is_token
from collector.persist.sessions import create_session, end_session
from collector.wire.errors import Unauthorized
from collector.wire.identity import User

COOKIE_S = 400 * 86_400  # it is the service that ends a session: the cookie must not end before; browsers keep none longer
MAX_FORM_BYTES = 8_192  # a token has 33 characters, and what a path holds may be escaped once more
LONGEST_PATH = 2_000
HOME = "/"
# A path of this very service. Two slashes would name a host; browsers take a backslash for one, and skip control characters.
_LOCAL = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")

NO_TOKEN = "Paste a token to sign in."  # noqa: S105  # words
SCOPED_TOKEN = "This token opens parts of the API alone: it has scopes."  # noqa: S105
UNKNOWN_TOKEN = "This token is unknown, expired or revoked."  # noqa: S105
FOREIGN_FORM = "Sign in from this page itself: the form came from another site."


class SignIn(NamedTuple):
    """What the options say of a sign-in."""

    lifetime_ms: int  # of a session that is not used
    always_secure: bool = False  # the cookie, also where the browser does not seem to speak https
    same_site: Literal["Lax", "None"] = "Lax"


SIGN_IN: web.AppKey[SignIn] = web.AppKey("sign_in", SignIn)


async def viewer(request: web.Request) -> User | None:
    """The user whose session the cookie carries; None when there is none, it is no longer good, or its token has scopes."""
    token = request.cookies.get(TOKEN_NAME)
    if not token:
        return None
    try:
        user = await request.app[CREDENTIALS].user(token)
    except Unauthorized:
        return None
    return user if user.scopes is None else None


async def post_signin(request: web.Request) -> web.Response:
    """Set the cookie and go to the page that was asked for; or show the form again and say why."""
    if not came_from_here(request):
        return _form(request, FOREIGN_FORM, status=403)
    token, target = await _submitted(request)
    if not token:
        return _form(request, NO_TOKEN, target, status=400)
    app = request.app
    try:
        user, token_id = await app[CREDENTIALS].user(token), await app[CREDENTIALS].token_id(token)
    except Unauthorized:
        return _form(request, UNKNOWN_TOKEN, target, status=401)
    if user.scopes is not None:
        return _form(request, SCOPED_TOKEN, target, status=403)
    begin = partial(create_session, token_id=token_id, lifetime_ms=app[SIGN_IN].lifetime_ms, now=app[NOW]())
    session = await written(request, begin)
    answer = _to(target)
    # Lax, not Strict: a link to this page from a chat or a wiki should find its reader signed in. Nothing changes on GET.
    same_site = app[SIGN_IN].same_site
    answer.set_cookie(TOKEN_NAME, session, max_age=COOKIE_S, httponly=True, secure=_is_secure(request), samesite=same_site)
    return answer


async def post_signout(request: web.Request) -> web.Response:
    """End the session, drop the cookie and go to the page, which then shows the form. The token itself stays good."""
    if not came_from_here(request):
        return _form(request, FOREIGN_FORM, status=403)
    app, presented = request.app, request.cookies.get(TOKEN_NAME, "")
    if is_token(presented):
        await written(request, partial(end_session, session=presented))
        app[CREDENTIALS].forget(presented)
    answer = _to(HOME)
    answer.del_cookie(TOKEN_NAME, httponly=True, secure=_is_secure(request), samesite=app[SIGN_IN].same_site)
    return answer


def asked_page(request: web.Request) -> str:
    """Where a visitor who is not signed in wanted to go: back to there after signing in."""
    return local_path(request.path_qs) if request.method in ("GET", "HEAD") else HOME


def local_path(text: str) -> str:
    """``text`` when it is a path of this service, with its query; the overview's for all else, which may lead elsewhere."""
    return text if len(text) <= LONGEST_PATH and _LOCAL.fullmatch(text) else HOME


async def _submitted(request: web.Request) -> tuple[str, str]:
    """The token of the form, and the path to go to."""
    form = parse_qs((await read(request, limit=MAX_FORM_BYTES)).decode("utf-8", "replace"))
    return form.get("token", [""])[0].strip(), local_path(form.get("next", [HOME])[0])


def _is_secure(request: web.Request) -> bool:
    """Whether the browser spoke https, also to a proxy that passes plain http on, which ``Origin`` says; or is to."""
    return request.app[SIGN_IN].always_secure or request.secure or request.headers.get("Origin", "").startswith("https://")


def _to(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})


def _form(request: web.Request, problem: str, target: str = HOME, *, status: int) -> web.Response:
    context = {"viewer": None, "problem": problem, "next": target}
    return request.app[PAGES].response(request, "signin", context, status=status)

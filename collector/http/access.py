"""Who may call what: the words of the route table's column, and the one function that judges a request by them."""

from __future__ import annotations

import enum

from aiohttp import web

from collector.http.auth import Check, Credentials, basic_password, bearer, session_token
from collector.http.errors import Unchallenged
from collector.wire.errors import Forbidden, Gone, Unauthorized
from collector.wire.identity import Caller, IngestKey, KeyKind, Role, Scope, User

FORBIDDEN = "Forbidden."
NOT_PERMITTED = (
    "You don't have permission to view this content. If you believe this is a mistake, please contact your administrator"
    " or try signing in with different credentials."
)
OUT_OF_SCOPE = "The scopes of this token do not include what is asked for."
NO_CREDENTIAL = "A key or a token is needed."


class Access(enum.Enum):
    """Who may call a route."""

    PUBLIC = "public"  # everybody
    SIGNED_IN = "signed in"  # any user, whatever the scopes of the token
    SELF = "self"  # any user, with a token that has no scopes; a member sees and changes what is its own
    READ = "read"  # owner and auditor
    PROJECTS = "projects"  # owner and auditor, and members for the projects that they were named for
    OWNER = "owner"
    FEED = "feed"  # a feed key, or an owner's token
    AGENT = "agent"  # the token of a workspace agent
    CSP = "csp"  # a browser key in ?key=, or any user's token


INTAKE = frozenset({Access.FEED, Access.AGENT, Access.CSP})  # of the routes that bring data
ROLES = {
    Access.SIGNED_IN: frozenset(Role),
    Access.SELF: frozenset(Role),
    Access.CSP: frozenset(Role),
    Access.FEED: frozenset({Role.OWNER}),
    Access.READ: frozenset({Role.OWNER, Role.AUDITOR}),
    Access.PROJECTS: frozenset(Role),
    Access.OWNER: frozenset({Role.OWNER}),
}


async def authorize(
    request: web.BaseRequest,
    access: Access,
    credentials: Credentials,
    before_lookup: Check | None = None,
    *,
    scope: Scope | None = None,
) -> Caller | None:
    """The caller of a route that asks for ``access``; None when everybody may call it.

    A token with scopes opens what any signed-in user may see, and beyond that only routes of one of its own: ``scope``.

    ``before_lookup`` is called before the store is asked about a credential that is not remembered.

    Raises:
        Unauthorized: no credential, or none that is known. At a route for CSP reports it is ``Unchallenged``.
        Forbidden: the caller is known, but is a user without the role, a token without the scope or a key of the wrong kind.
        Gone: the project of the key was retired.
        Overloaded: the store had to be asked who it is, and could not answer.
        RateLimited: ``before_lookup`` did not let it be asked.
    """
    if access is Access.PUBLIC:
        return None
    if access is Access.FEED:
        return await _feed_caller(request, credentials, before_lookup)
    if access is Access.AGENT:
        return await credentials.agents.agent(session_token(request), before_lookup)
    if access is Access.CSP:
        try:
            return await _csp_caller(request, credentials, before_lookup)
        except Unauthorized as error:
            raise Unchallenged(error.message, error.detail) from error
    user = await credentials.user(session_token(request), before_lookup)
    return _permitted(user, access, scope)


async def _feed_caller(request: web.BaseRequest, credentials: Credentials, before_lookup: Check | None) -> Caller:
    presented = header_key(request)
    if presented is not None:
        return _of_kind(await credentials.key(presented, before_lookup), KeyKind.FEED)
    token = session_token(request)
    if token:
        return _permitted(await credentials.user(token, before_lookup), Access.FEED)
    in_url = request.query.get("key")
    if not in_url:
        raise Unauthorized(NO_CREDENTIAL, 'Send a feed key as "Authorization: Bearer" or as a Basic password.')
    _of_kind(await credentials.key(in_url, before_lookup), KeyKind.FEED)
    raise Forbidden(FORBIDDEN, "A feed key is secret and must not be part of a URL, where every log on the way keeps it.")


async def _csp_caller(request: web.BaseRequest, credentials: Credentials, before_lookup: Check | None) -> Caller:
    in_url = request.query.get("key")
    if in_url:
        return _of_kind(await credentials.key(in_url, before_lookup), KeyKind.BROWSER)
    presented = header_key(request)
    if presented is not None:
        _of_kind(await credentials.key(presented, before_lookup), KeyKind.BROWSER)
        raise Unauthorized(NO_CREDENTIAL, "A browser key belongs into the query: ?key=.")
    token = session_token(request)
    if not token:
        raise Unauthorized(NO_CREDENTIAL, "Send a browser key in the query: ?key=.")
    return _permitted(await credentials.user(token, before_lookup), Access.CSP)


def header_key(request: web.BaseRequest) -> str | None:
    """The ingest key in the Authorization header; None when there is none. What has a dash in it is no key but a token."""
    password = basic_password(request)
    if password is not None:
        return password
    text = bearer(request)
    return text if text and "-" not in text else None


def _of_kind(key: IngestKey, kind: KeyKind) -> IngestKey:
    if key.kind is kind:
        if key.retired:
            raise Gone(f"The project {key.project} was retired.")
        return key
    opens = "/csp/reports alone" if key.kind is KeyKind.BROWSER else "every way in but /csp/reports"
    raise Forbidden(FORBIDDEN, f"This is a {key.kind} key: it opens {opens}.")


def _permitted(user: User, access: Access, scope: Scope | None = None) -> User:
    if user.role not in ROLES[access]:
        raise Forbidden(FORBIDDEN, NOT_PERMITTED)
    if user.scopes is not None and access is not Access.SIGNED_IN and scope not in user.scopes:
        raise Forbidden(FORBIDDEN, OUT_OF_SCOPE)
    return user
